"""Constraint files: exact, and complete for what is asked of them."""

import importlib.util
import sys

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

COLUMNS = ('a', 'b', 'minimal')


@pytest.fixture
def columns(load_tool):
    return load_tool('misc/columns.py').COLUMNS


def constraints(root_dir, column):
    lines = (root_dir / 'requirements' / column.pins).read_text().splitlines()
    return [Requirement(line) for line in lines if line and line[0] not in '#']


@pytest.mark.parametrize('name', COLUMNS)
def test_each_line_pins_one_version(columns, root_dir, name):
    for requirement in constraints(root_dir, columns[name]):
        (pin,) = requirement.specifier
        assert pin.operator == '==' and not pin.version.endswith('*')


@pytest.mark.parametrize('name', COLUMNS)
@pytest.mark.parametrize('python', ['3.8', '3.10', '3.11', '3.12'])
def test_no_package_is_pinned_twice(columns, root_dir, name, python):
    here = [
        canonicalize_name(requirement.name)
        for requirement in constraints(root_dir, columns[name])
        if not requirement.marker
        or requirement.marker.evaluate({'python_version': python})
    ]
    assert len(here) == len(set(here))


@pytest.mark.parametrize('name', COLUMNS)
def test_what_is_installed_by_name_is_pinned(columns, root_dir, name):
    column = columns[name]
    asked = [*column.packages, *column.no_deps]
    project = project_requirements(root_dir)
    for extra in ('', *column.extras.split(',')):
        asked += [Requirement(text).name for text in project[extra]]
    pinned = {
        canonicalize_name(requirement.name)
        for requirement in constraints(root_dir, column)
    }
    assert {canonicalize_name(package) for package in asked} <= pinned


@pytest.mark.parametrize('name', COLUMNS)
def test_the_pins_lie_in_the_ranges_of_setup_py(columns, root_dir, name):
    pins = {
        canonicalize_name(requirement.name): requirement
        for requirement in constraints(root_dir, columns[name])
    }
    project = project_requirements(root_dir)
    for text in [*project[''], *project['det']]:
        requirement = Requirement(text)
        pin = pins.get(canonicalize_name(requirement.name))
        if pin is not None:
            (version,) = pin.specifier
            assert requirement.specifier.contains(
                version.version, prereleases=True
            ), f'{pin} is outside {requirement}'


@pytest.mark.parametrize('name', COLUMNS)
def test_the_pins_have_no_known_problem(load_tool, root_dir, name):
    from hvc_mm.utils import diagnose

    tool = load_tool('misc/columns.py')
    column = tool.COLUMNS[name]
    pins = tool.read_pins(root_dir / 'requirements' / column.pins)
    assert pins['torch']
    assert diagnose(pins) == []


def test_read_pins_leaves_conditions_and_comments_out(load_tool, tmp_path):
    path = tmp_path / 'pins.txt'
    path.write_text(
        "# old==1\n\na==1.0\nb==2 \nc==3; python_version < '3.9'\n"
    )
    read_pins = load_tool('misc/columns.py').read_pins
    assert read_pins(path) == {'a': '1.0', 'b': '2'}


def project_requirements(root_dir):
    """What setup.py asks for, by extra ('' for always)."""
    import setuptools

    said = {}
    original, setuptools.setup = setuptools.setup, said.update
    try:
        spec = importlib.util.spec_from_file_location(
            'its_setup', root_dir / 'setup.py'
        )
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    finally:
        setuptools.setup = original
        sys.modules.pop('its_setup', None)
    return {'': said['install_requires'], **said['extras_require']}
