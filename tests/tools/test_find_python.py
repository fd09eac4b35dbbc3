"""Which interpreter is taken, with invented ones on the PATH."""

import os
import sys

import pytest

HERE = '{}.{}'.format(*sys.version_info[:2])
BASE = getattr(sys, '_base_executable', sys.executable)


@pytest.fixture
def tool(load_tool, monkeypatch, tmp_path):
    """The module, in a world that has no Python but the test's own."""
    monkeypatch.setenv('PATH', str(tmp_path / 'bin'))
    monkeypatch.setenv('PYENV_ROOT', str(tmp_path / 'pyenv'))
    monkeypatch.setenv('HOME', str(tmp_path))
    (tmp_path / 'bin').mkdir()
    module = load_tool('misc/find_python.py')
    monkeypatch.setattr(module.sys, 'executable', str(tmp_path / 'none'))
    return module


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('#!/bin/sh\n' + text)
    path.chmod(0o755)


def test_a_shim_that_does_not_run_is_passed_over(tool, tmp_path):
    write(tmp_path / f'bin/python{HERE}', 'echo "no version set" >&2; exit 1')
    good = tmp_path / f'pyenv/versions/{HERE}.4/bin/python{HERE}'
    write(good, f'exec {BASE} "$@"')
    found = tool.find_python((HERE,))
    assert found.version == HERE
    # Not what was found but what it is: an environment can be replaced by
    # the Python that lives in it.
    assert os.path.samefile(found.path, BASE)


def test_the_first_version_of_the_list_wins(tool, tmp_path):
    answer = 'echo 3.9; echo {}; echo complete'
    write(tmp_path / 'bin/python3.9', answer.format('/nine'))
    write(tmp_path / f'bin/python{HERE}', f'exec {BASE} "$@"')
    assert tool.find_python((HERE, '3.9')).version == HERE
    assert tool.find_python(('3.9', HERE)) == tool.Python('/nine', '3.9')


def test_none_fits_and_the_message_says_why(tool, tmp_path):
    write(tmp_path / 'bin/python3.8', 'echo "no version set" >&2; exit 1')
    write(tmp_path / 'bin/python3', 'echo 3.7; echo /seven; echo complete')
    with pytest.raises(tool.NoPython) as caught:
        tool.find_python(('3.8',))
    said = str(caught.value)
    assert 'does not run (no version set)' in said
    assert 'is Python 3.7' in said
    assert 'PYTHON=/path/to/python3.8' in said


def test_a_python_without_venv_is_told(tool, tmp_path):
    write(tmp_path / 'bin/python3.8', 'echo 3.8; echo /eight; exit 1')
    with pytest.raises(tool.NoPython, match='apt install python3.8-venv'):
        tool.find_python(('3.8',))


def test_the_wanted_one_is_taken_or_refused(tool):
    assert tool.find_python((HERE,), sys.prefix + '/bin/python').version
    with pytest.raises(tool.NoPython, match=f'is Python {HERE}'):
        tool.find_python(('3.1',), sys.prefix + '/bin/python')
    with pytest.raises(tool.NoPython, match='no/such/python'):
        tool.find_python((HERE,), 'no/such/python')
