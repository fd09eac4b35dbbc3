"""mmcv's wheel: kept, published or built; believed if its operators work."""

import http.server
import importlib.util
import shutil
import socket
import subprocess
import sys
import threading
import zipfile
from functools import partial
from pathlib import Path

import pytest

PYTHON = Path(sys.executable)
PAGE = 'mmcv/dist/cu121/torch2.1.0'


@pytest.fixture
def wheel(load_tool):
    return load_tool('misc/mmcv_wheel.py')


class Builder:
    """Notes what would be run; no wheel is published, a build writes one."""

    def __init__(self, error):
        self.ran = []
        self.error = error

    def say(self, text):
        pass

    def run(self, title, command, env=None):
        command = [str(part) for part in command]
        if 'download' in command:
            raise self.error('no matching distribution')
        self.ran.append('wheel' if 'wheel' in command else 'install')
        if '--no-cache-dir' in command:
            self.ran[-1] += ' --no-cache-dir'
        if 'wheel' in command:
            folder = Path(command[command.index('--wheel-dir') + 1])
            folder.mkdir(parents=True)
            with zipfile.ZipFile(folder / 'mmcv-2.0-cp311.whl', 'w') as file:
                file.writestr('mmcv/__init__.py', '')


@pytest.fixture
def mmcv(wheel, tmp_path, monkeypatch):
    """Install it with builds whose operators work or not, as told."""
    answers = []

    def ask(python, code):
        if code == wheel._TORCH:
            text = '2.0.1+cu117 11.7 False cp311'
            return subprocess.CompletedProcess([], 0, text)
        return subprocess.CompletedProcess([], answers.pop(0), '', 'undefined')

    def install(*works):
        answers.extend(not each for each in works)
        builder = Builder(wheel.SetupError)
        wheel.install_mmcv(builder, PYTHON, '2.0', tmp_path / 'kept')
        return builder.ran

    monkeypatch.setattr(wheel, 'ask', ask)
    return install


def test_a_wheel_with_operators_is_built_once_and_kept(mmcv, tmp_path):
    assert mmcv(True) == ['wheel', 'install']
    assert mmcv(True) == ['install']
    (kept,) = (tmp_path / 'kept').iterdir()
    assert kept.name == 'mmcv-2.0-torch-2.0.1+cu117-cp311-cpu'


def test_a_wheel_without_working_operators_is_built_anew(wheel, mmcv):
    """pip keeps what a build without torch, or with another one, made."""
    again = ['wheel', 'install', 'wheel --no-cache-dir', 'install']
    assert mmcv(False, True) == again
    assert mmcv(False, True) == again[1:]
    with pytest.raises(wheel.SetupError, match='do not work:\nundefined'):
        mmcv(False, False)
    assert mmcv(True) == again[:2]


def test_the_page_is_the_one_that_mim_asks(wheel, monkeypatch):
    monkeypatch.delenv(wheel.SITE_VARIABLE, raising=False)
    site = 'https://download.openmmlab.com/mmcv/dist'
    page = wheel.find_links('2.1.2+cu121', '12.1')
    assert page == f'{site}/cu121/torch2.1.0/index.html'
    page = wheel.find_links('2.0.1', 'None')
    assert page == f'{site}/cpu/torch2.0.0/index.html'


# What the probe of the operators asks of torch, and of a wheel that works.
TORCH = """
from types import SimpleNamespace
__version__ = '2.1.2+cu121'
version = SimpleNamespace(cuda='12.1')
cuda = SimpleNamespace(is_available=lambda: False)
def tensor(value, device): return SimpleNamespace(tolist=lambda: value)
def ones(shape, device): return tensor(0, device)
"""
OPERATORS = """
import torch
def nms(boxes, scores, limit): return None, torch.tensor([0, 2], 'cpu')
def roi_align(image, boxes, size):
    return torch.tensor([[[[1, 1], [1, 1]]]], 'cpu')
"""


def write_wheel(folder, operators):
    """Write a wheel of mmcv 2.1.0, as pip reads one."""
    folder.mkdir(parents=True, exist_ok=True)
    path, info = folder / 'mmcv-2.1.0-py3-none-any.whl', 'mmcv-2.1.0.dist-info'
    files = {
        'mmcv/__init__.py': '',
        'mmcv/ops.py': operators,
        f'{info}/METADATA': (
            'Metadata-Version: 2.1\nName: mmcv\nVersion: 2.1.0\n'
        ),
        f'{info}/WHEEL': (
            'Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n'
            'Tag: py3-none-any\n'
        ),
    }
    record = ''.join(f'{name},,\n' for name in (*files, f'{info}/RECORD'))
    with zipfile.ZipFile(path, 'w') as archive:
        for name, text in {**files, f'{info}/RECORD': record}.items():
            archive.writestr(name, text)
    return path


@pytest.fixture(scope='module')
def venv(tmp_path_factory):
    """An environment with pip and with something in the place of torch."""
    folder = tmp_path_factory.mktemp('venv')
    command = [sys.executable, '-m', 'venv', '--without-pip', str(folder)]
    subprocess.run(command, check=True)
    (site,) = folder.glob('lib/python*/site-packages')
    # Not imported: then `distutils` would be Python's own, which setuptools
    # refuses.
    pip = Path(importlib.util.find_spec('pip').origin).parent
    shutil.copytree(pip, site / 'pip')
    (site / 'torch.py').write_text(TORCH)
    return folder / 'bin/python'


@pytest.fixture
def install(wheel, venv, tmp_path, monkeypatch):
    """Install mmcv by the real pip; return what was said and built."""
    for name in ('PIP_FIND_LINKS', 'PIP_CONFIG_FILE'):
        monkeypatch.setenv(name, '/dev/null')
    monkeypatch.setattr(wheel, 'PATIENCE', 1)
    built, said = [], []

    def build(steps, what, folder, env, cache):
        built.append(what)
        return write_wheel(folder, OPERATORS)

    monkeypatch.setattr(wheel, '_build', build)
    steps = sys.modules[wheel.Steps.__module__].Steps(tmp_path / 'log')
    monkeypatch.setattr(steps, 'say', said.append)

    def run(site):
        monkeypatch.setenv(wheel.SITE_VARIABLE, str(site))
        wheel.install_mmcv(steps, venv, '2.1.0', tmp_path / 'kept')
        return '\n'.join(said), built

    return run


@pytest.fixture
def site(tmp_path):
    """A server with a folder of wheels, empty at first."""
    (tmp_path / 'site' / PAGE).mkdir(parents=True)
    (tmp_path / 'site' / PAGE / 'index.html').write_text('<html></html>')
    handler = partial(
        http.server.SimpleHTTPRequestHandler,
        directory=str(tmp_path / 'site'),
    )
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f'http://127.0.0.1:{server.server_port}', tmp_path / 'site'
        server.shutdown()
        thread.join()


def publish(folder, operators):
    path = write_wheel(folder / PAGE, operators)
    page = f'<a href="{path.name}">{path.name}</a>'
    (folder / PAGE / 'index.html').write_text(f'<html>{page}</html>')


def test_a_published_wheel_that_works_is_taken_and_kept(install, site):
    url, folder = site
    publish(folder, OPERATORS)
    said, built = install(url)
    assert 'mmcv-2.1.0-py3-none-any.whl: operators work' in said
    assert not built
    shutil.rmtree(folder)  # kept: it is asked for once
    said, built = install(url)
    assert said.count('operators work') == 2 and not built


def test_one_without_operators_is_not_believed(install, site):
    url, folder = site
    publish(folder, 'raise ImportError("no _ext")')
    said, built = install(url)
    assert 'no working operators on cpu' in said and built == ['mmcv==2.1.0']
    assert said.endswith('operators work')


def test_wrong_operators_are_not_believed(install, site):
    url, folder = site
    publish(folder, OPERATORS.replace('[0, 2]', '[0, 1, 2]'))
    said, built = install(url)
    assert 'no working operators' in said and built == ['mmcv==2.1.0']


def test_a_site_that_has_none(install, site):
    said, built = install(site[0])
    assert 'there is none' in said and built == ['mmcv==2.1.0']


def test_a_site_that_says_nothing(install):
    with socket.create_server(('127.0.0.1', 0)) as silent:
        url = f'http://127.0.0.1:{silent.getsockname()[1]}'
        said, built = install(url)
    assert 'cannot be reached' in said and built == ['mmcv==2.1.0']


def test_a_folder_that_pip_knows(install, monkeypatch, tmp_path):
    """As by PIP_FIND_LINKS, or by a line of pip's own config."""
    write_wheel(tmp_path / 'wheels', OPERATORS)
    monkeypatch.setenv('PIP_FIND_LINKS', str(tmp_path / 'wheels'))
    said, built = install('http://127.0.0.1:9')
    assert 'operators work' in said and not built


@pytest.mark.parametrize(
    'sees_gpu, toolkit, target',
    [
        (False, '', 'cpu'),
        (True, '', 'cpu'),  # a GPU, but nothing to compile for it with
        (True, '12', 'cpu'),  # the toolkit of another CUDA
        (True, '11', 'cuda'),
    ],
)
def test_the_gpu_is_hidden_where_it_would_stop_the_build(
    wheel, monkeypatch, sees_gpu, toolkit, target
):
    monkeypatch.delenv('FORCE_CUDA', raising=False)
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '0')
    monkeypatch.setenv('MAX_JOBS', '7')
    monkeypatch.setattr(wheel, 'toolkit_version', lambda: toolkit)
    env, found = wheel.build_environment(PYTHON, '11.7', sees_gpu)
    assert found == target
    assert env['CUDA_VISIBLE_DEVICES'] == ('0' if target == 'cuda' else '')
    assert env['MMCV_WITH_OPS'] == '1' and env['MAX_JOBS'] == '7'
