"""mmcv's wheel: built once, kept, and believed only if its operators work."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PYTHON = Path(sys.executable)


@pytest.fixture
def wheel(load_tool):
    return load_tool('misc/mmcv_wheel.py')


class Builder:
    """Notes what would be run; `pip wheel` writes a wheel."""

    def __init__(self):
        self.ran = []

    def say(self, text):
        pass

    def run(self, title, command, env=None):
        command = [str(part) for part in command]
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
        builder = Builder()
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
