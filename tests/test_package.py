"""The package as a whole: light to import, complete however it is built."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib import metadata

import pytest

import hvc_mm

PARTS = ('hvc_mm', 'configs', 'tools', 'requirements')
FILES = ('setup.py', 'pyproject.toml', 'MANIFEST.in', 'Makefile')
# What a source archive holds next to what it builds.
DOCUMENTS = (
    'README.md',
    'LICENSE',
    'CHANGELOG.md',
    'CITATION.cff',
    'CONTRIBUTING.md',
)
AROUND = ('docs', 'tests')


def test_one_version(root_dir):
    text = (root_dir / 'hvc_mm/version.py').read_text()
    assert hvc_mm.__version__ in text
    assert re.fullmatch(r'\d+\.\d+\.\d+', hvc_mm.__version__)


@pytest.mark.parametrize(
    'code',
    [
        # Each worker process imports the package; torch alone takes seconds.
        'import hvc_mm\n'
        'heavy = {"torch", "torchvision", "mmengine", "mmcv", "numpy", "cv2"}'
        '\nassert not heavy & set(sys.modules), heavy & set(sys.modules)',
        # No mmdet, mmtrack or compiled operator at import, in any column.
        'for name in ("mmdet", "mmtrack", "mmcv.ops", "mmcv._ext"):\n'
        '    sys.modules[name] = None\n'
        'from hvc_mm.registry import MODELS, TRANSFORMS\n'
        'assert not MODELS.module_dict and not TRANSFORMS.module_dict\n'
        'from hvc_mm.utils import register_all_modules\n'
        'register_all_modules()\n'
        'assert "HVCResNet" in MODELS.module_dict\n'
        'assert "PairedRandomResizedCrop" in TRANSFORMS.module_dict\n',
    ],
    ids=['light', 'alone'],
)
def test_importing_it(root_dir, code):
    _python(f'import sys\n{code}', cwd=root_dir)


def _python(code, **options):
    command = [sys.executable, '-c', code]
    run = subprocess.run(command, capture_output=True, text=True, **options)
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.fixture(scope='module')
def source(root_dir, tmp_path_factory):
    """A copy of what the package is built from: builds leave things."""
    copy = tmp_path_factory.mktemp('source')
    unwanted = shutil.ignore_patterns('__pycache__', '.mim', '*.so', '_build')
    for name in PARTS + AROUND:
        shutil.copytree(root_dir / name, copy / name, ignore=unwanted)
    for name in FILES + DOCUMENTS:
        shutil.copy(root_dir / name, copy / name)
    (copy / 'model-index.yml').write_text('Import: []\n')
    return copy


@pytest.fixture
def build(source, tmp_path):
    """Calls one of the hooks that pip and build call, in the copy."""

    def built(hook, folder=source):
        code = (
            'from setuptools import build_meta\n'
            f'build_meta.{hook}({str(tmp_path)!r})'
        )
        unset = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}
        _python(code, cwd=folder, env=unset)
        (product,) = tmp_path.glob('hvc_mm*')
        return product

    return built


def tracked(source):
    """What `.mim` has to hold, as paths below the checkout."""
    parts = [source / name for name in PARTS[1:]]
    found = [path for part in parts for path in part.rglob('*')]
    found.append(source / 'model-index.yml')
    return {
        path.relative_to(source).as_posix()
        for path in found
        if path.is_file() and path.parent.name != '__pycache__'
    }


def test_a_wheel_holds_the_package_and_its_mim(build, source, monkeypatch):
    for name in ('CC', 'CXX'):  # whoever runs this may have none
        monkeypatch.delenv(name, raising=False)
    (source / 'configs/__pycache__').mkdir(exist_ok=True)
    (source / 'configs/__pycache__/a.pyc').write_text('')
    stale = source / 'build/lib/hvc_mm/gone.py'
    stale.parent.mkdir(parents=True, exist_ok=True)
    stale.write_text('')
    with zipfile.ZipFile(build('build_wheel')) as wheel:
        names = set(wheel.namelist())
        (about,) = (name for name in names if name.endswith('/METADATA'))
        header = wheel.read(about).decode().split('\n\n')[0]
    inside = {
        name[len('hvc_mm/.mim/') :]
        for name in names
        if name.startswith('hvc_mm/.mim/')
    }
    assert inside == tracked(source)
    assert 'hvc_mm/registry.py' in names
    kernel = [name for name in names if '_windowed_topk' in name]
    assert len(kernel) == bool(shutil.which('g++')), kernel
    assert all(name.startswith('hvc_mm/csrc/') for name in kernel)
    assert 'hvc_mm/scoreboard/page.html' in names
    assert 'hvc_mm/gone.py' not in names
    assert not any(name.startswith(('tests/', 'tools/')) for name in names)
    required = [
        line
        for line in header.splitlines()
        if line.startswith('Requires-Dist') and 'extra ==' not in line
    ]
    assert any('mmengine' in line for line in required)
    # Those are the user's choice; pip must not swap or add one.
    for name in ('torch', 'mmcv', 'mmdet', 'mmtrack'):
        assert not any(name in line for line in required), required
    assert 'mmtrack' not in header
    assert 'License: Apache-2.0' in header


def test_without_a_compiler_it_still_builds(build, source, monkeypatch):
    for name in ('CC', 'CXX'):
        monkeypatch.setenv(name, '/bin/false')
    shutil.rmtree(source / 'build', ignore_errors=True)
    with zipfile.ZipFile(build('build_wheel')) as wheel:
        names = wheel.namelist()
    assert 'hvc_mm/registry.py' in names
    assert not any('_windowed_topk' in name for name in names)


def test_an_editable_install_links_mim(build, source):
    build('build_editable')
    mim = source / 'hvc_mm/.mim'
    assert (mim / 'configs').samefile(source / 'configs')
    assert (mim / 'tools').samefile(source / 'tools')
    assert (mim / 'model-index.yml').samefile(source / 'model-index.yml')
    assert not os.path.isabs(os.readlink(mim / 'configs'))
    shutil.rmtree(mim)


def test_a_source_archive_builds_the_same_wheel(build, source, tmp_path):
    build('build_editable').unlink()  # its links must not get in
    archive = build('build_sdist')
    with tarfile.open(archive) as tar:
        names = [name.partition('/')[2] for name in tar.getnames()]
        tar.extractall(tmp_path / 'unpacked')
    archive.unlink()
    assert not any('.mim' in name for name in names)
    assert tracked(source) <= set(names)
    sources = {'windowed_topk.cpp', 'windowed_topk_simd.h'}
    assert {f'hvc_mm/csrc/{name}' for name in sources} <= set(names)
    assert not any(name.endswith('.so') for name in names)
    around = [path for part in AROUND for path in (source / part).rglob('*')]
    assert {*FILES, *DOCUMENTS} | {
        path.relative_to(source).as_posix()
        for path in around
        if path.is_file()
    } <= set(names)
    (unpacked,) = (tmp_path / 'unpacked').iterdir()
    with zipfile.ZipFile(build('build_wheel', unpacked)) as wheel:
        inside = set(wheel.namelist())
    assert 'hvc_mm/scoreboard/page.html' in inside
    assert {f'hvc_mm/.mim/{name}' for name in tracked(source)} <= inside
    shutil.rmtree(source / 'hvc_mm/.mim')


def test_a_checkout_without_configs_builds_nothing(source, tmp_path):
    part = tmp_path / 'part'
    shutil.copytree(source, part, ignore=shutil.ignore_patterns('configs'))
    run = subprocess.run(
        [sys.executable, 'setup.py', '-q', 'build_py', '-d', 'out'],
        cwd=part,
        capture_output=True,
        text=True,
    )
    assert run.returncode != 0
    assert 'configs: not found, but the package ships it' in run.stderr


@pytest.mark.slow
def test_pip_installs_it_both_ways(source, tmp_path):
    """With today's pip, into an environment of its own."""
    venv = tmp_path / 'venv'
    subprocess.run([sys.executable, '-m', 'venv', str(venv)], check=True)
    python = str(venv / 'bin/python')
    where = (
        'import importlib.util as u, pathlib\n'
        'spec = u.find_spec("hvc_mm")\n'
        'mim = pathlib.Path(spec.origin).parent / ".mim"\n'
        'print(mim, mim.joinpath("configs/hvc_coco.py").is_file())'
    )
    for way, inside in (([], venv), (['--editable'], source)):
        # No PYTHONPATH: pip would take a checkout there for what it replaces.
        command = [python, '-I', '-m', 'pip', 'install', '-q', '--no-deps']
        subprocess.run([*command, *way, str(source)], check=True)
        run = subprocess.run(
            [python, '-I', '-c', where],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=True,
        )
        mim, there = run.stdout.split()
        assert there == 'True' and mim.startswith(str(inside))
    shutil.rmtree(source / 'hvc_mm/.mim')


def test_the_environment_s_copy_is_this_checkout(root_dir):
    """An installed copy elsewhere would be what the suite tests."""
    try:
        metadata.version('hvc_mm')
    except metadata.PackageNotFoundError:
        pytest.skip('hvc_mm is not installed, only importable')
    assert os.path.samefile(
        os.path.dirname(hvc_mm.__file__), root_dir / 'hvc_mm'
    )
