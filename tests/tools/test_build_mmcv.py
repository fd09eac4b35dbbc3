"""mmcv's wheel: kept ones are believed only when the operators work."""

import sys
import zipfile
from pathlib import Path

import pytest

PYTHON = Path(sys.executable)


class Runner:
    """Notes what would be run; `pip wheel` writes a wheel as it is told."""

    def __init__(self, wheels):
        self.wheels = list(wheels)
        self.ran = []
        self.said = []

    def say(self, text):
        self.said.append(text)

    def run(self, title, command, env=None, cwd=None):
        command = [str(part) for part in command]
        self.ran.append('wheel' if 'wheel' in command else 'install')
        if '--no-cache-dir' in command:
            self.ran[-1] += ' --no-cache-dir'
        if 'wheel' in command:
            folder = Path(command[command.index('--wheel-dir') + 1])
            folder.mkdir(parents=True)
            write_wheel(folder, self.wheels.pop(0))


def write_wheel(folder, member):
    with zipfile.ZipFile(folder / 'mmcv-2.0-cp311.whl', 'w') as archive:
        archive.writestr('mmcv/__init__.py', '')
        archive.writestr(member, '')


@pytest.fixture
def tool(load_tool, monkeypatch):
    """The module, with answers in place of the environment's."""
    module = load_tool('misc/build_mmcv.py')
    answers = dict(torch='2.0.1+cu117 11.7 False cp311')

    def run(python, code):
        text = answers['torch'] if code == module._DESCRIBE else ''
        return module.subprocess.CompletedProcess([], 0, text, 'undefined')

    monkeypatch.setattr(module, '_run', run)
    monkeypatch.setattr(module, 'operators_work', lambda python: True)
    return module


OPERATORS = 'mmcv/_ext.cpython-311-x86_64-linux-gnu.so'


def test_a_wheel_with_operators_is_built_once_and_kept(tool, tmp_path):
    runner = Runner([OPERATORS])
    tool.install_mmcv(runner, PYTHON, '2.0', tmp_path)
    tool.install_mmcv(runner, PYTHON, '2.0', tmp_path)
    assert runner.ran == ['wheel', 'install', 'install']
    (folder,) = tmp_path.iterdir()
    assert folder.name == 'mmcv-2.0-torch-2.0.1+cu117-cp311-cpu'


def test_a_kept_wheel_without_operators_is_built_anew(tool, tmp_path):
    """pip hands out what some build without torch in sight left behind."""
    runner = Runner(['mmcv/nothing', OPERATORS])
    tool.install_mmcv(runner, PYTHON, '2.0', tmp_path)
    assert runner.ran == ['wheel', 'wheel --no-cache-dir', 'install']
    assert 'no working operators' in ' '.join(runner.said)


def test_operators_for_another_torch_are_built_anew(
    tool, tmp_path, monkeypatch
):
    answers = [False, True]
    monkeypatch.setattr(tool, 'operators_work', lambda _: answers.pop(0))
    runner = Runner([OPERATORS, OPERATORS])
    tool.install_mmcv(runner, PYTHON, '2.0', tmp_path)
    assert runner.ran == [
        'wheel',
        'install',
        'wheel --no-cache-dir',
        'install',
    ]


def test_operators_that_never_work_are_an_error(tool, tmp_path, monkeypatch):
    monkeypatch.setattr(tool, 'operators_work', lambda _: False)
    with pytest.raises(RuntimeError, match='do not work:\nundefined'):
        tool.install_mmcv(
            Runner([OPERATORS] * 2), PYTHON, '2.0', tmp_path / 'kept'
        )


@pytest.mark.parametrize(
    ('sees_gpu', 'toolkit', 'target'),
    [
        (False, '', 'cpu'),
        (True, '', 'cpu'),  # a GPU, but nothing to compile for it with
        (True, '12', 'cpu'),  # the toolkit of another CUDA
        (True, '11', 'cuda'),
    ],
)
def test_the_gpu_is_hidden_where_it_would_stop_the_build(
    tool, monkeypatch, sees_gpu, toolkit, target
):
    monkeypatch.delenv('FORCE_CUDA', raising=False)
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '0')
    monkeypatch.setattr(tool, '_toolkit_version', lambda: toolkit)
    env, found = tool.build_environment(PYTHON, '11.7', sees_gpu)
    assert found == target
    assert env['CUDA_VISIBLE_DEVICES'] == ('0' if target == 'cuda' else '')
    assert env['MMCV_WITH_OPS'] == '1'


def test_the_number_of_jobs_is_that_of_the_cores_or_as_asked(
    tool, monkeypatch
):
    monkeypatch.delenv('MAX_JOBS', raising=False)
    env, _ = tool.build_environment(PYTHON, 'None', False)
    assert env['MAX_JOBS'] == str(tool._cores()) and tool._cores() >= 1
    monkeypatch.setenv('MAX_JOBS', '7')
    assert tool.build_environment(PYTHON, 'None', False)[0]['MAX_JOBS'] == '7'


def test_the_environment_is_that_of_the_python_alone(tool, monkeypatch):
    monkeypatch.setenv('PYTHONPATH', '/somewhere/else')
    env = tool.environment(Path('/made/here/bin/python'))
    assert 'PYTHONPATH' not in env
    assert env['PATH'].startswith('/made/here/bin:')
    assert env['VIRTUAL_ENV'] == '/made/here'
