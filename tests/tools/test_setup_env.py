"""An environment is ready or it does not count."""

import io
import json
import shutil
import sys
import threading
import time

import pytest

HERE = '{}.{}'.format(*sys.version_info[:2])


@pytest.fixture
def tool(load_tool, root_dir, tmp_path, monkeypatch):
    """The module, at work in a copy of the few files that it reads."""
    module = load_tool('misc/setup_env.py')
    for name in ('requirements', 'setup.py'):
        source = root_dir / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, tmp_path / name)
    monkeypatch.setattr(module, 'ROOT', tmp_path)
    monkeypatch.setattr(module, 'CACHE', tmp_path / '.cache')
    return module


@pytest.fixture
def column(tool):
    return tool.COLUMNS['minimal']._replace(pythons=(HERE, '3.9'))


@pytest.fixture
def folder(tool, column, tmp_path):
    """A finished environment, as far as can be told from outside."""
    made = tmp_path / '.venv'
    (made / 'bin').mkdir(parents=True)
    (made / 'bin/python').symlink_to(sys.executable)
    tool._write_mark(made, 'ready', tool.key_of(column, HERE), HERE)
    return made


def test_a_finished_environment_is_ready(tool, folder, column):
    assert tool.is_ready(folder, column)
    assert tool.is_ready(folder, column, HERE)


def test_asking_takes_no_time(tool, folder, column):
    begin = time.perf_counter()
    assert tool.is_ready(folder, column)
    assert time.perf_counter() - begin < 2


def test_another_python_is_another_environment(tool, folder, column):
    assert not tool.is_ready(folder, column, '3.9')


@pytest.mark.parametrize('name', ['requirements/minimal.txt', 'setup.py'])
def test_a_changed_requirement_is_seen(tool, folder, column, tmp_path, name):
    with (tmp_path / name).open('a') as file:
        file.write('# changed\n')
    assert not tool.is_ready(folder, column)


def test_another_column_s_pins_do_not_matter(tool, folder, column, tmp_path):
    (tmp_path / 'requirements/column_a.txt').write_text('')
    assert tool.is_ready(folder, column)


def test_an_interrupted_one_is_not_ready(tool, folder, column):
    tool._write_mark(folder, 'unfinished', tool.key_of(column, HERE), HERE)
    assert not tool.is_ready(folder, column)


def test_none_at_all_is_not_ready(tool, tmp_path, column):
    assert not tool.is_ready(tmp_path / 'none', column)


def test_one_whose_python_is_gone_is_not_ready(tool, folder, column):
    (folder / 'bin/python').unlink()
    (folder / 'bin/python').symlink_to('/no/such/python')
    assert not tool.is_ready(folder, column)


@pytest.fixture
def runner(load_tool, tmp_path):
    made = load_tool('misc/step_runner.py').StepRunner
    return made(tmp_path / 'log', stream=io.StringIO())


@pytest.mark.parametrize(
    ('state', 'said'),
    [('unfinished', 'stopped'), ('ready', 'is outdated')],
)
def test_an_old_one_is_taken_away(tool, folder, runner, state, said):
    tool._write_mark(folder, state, 'another key', HERE)
    tool.start_afresh(folder, runner)
    assert not list(folder.parent.glob('.venv*'))
    assert said in runner.stream.getvalue()


def test_a_removal_that_was_interrupted_is_finished(tool, folder, runner):
    shutil.copytree(folder, folder.with_name('.venv-hvc-old'), symlinks=True)
    tool.start_afresh(folder, runner)
    assert not list(folder.parent.glob('.venv*'))


def test_somebody_else_s_environment_is_left_alone(tool, folder, runner):
    (folder / tool.MARK).unlink()
    with pytest.raises(FileExistsError, match='not made by `make env`'):
        tool.start_afresh(folder, runner)
    assert (folder / 'bin/python').exists()


def test_nothing_to_take_away_is_fine(tool, tmp_path, runner):
    tool.start_afresh(tmp_path / 'none', runner)


def test_a_full_disk_is_told_before_anything_is_installed(
    tool, folder, monkeypatch
):
    usage = shutil.disk_usage(folder)._replace(free=3_000_000_000)
    monkeypatch.setattr(tool.shutil, 'disk_usage', lambda path: usage)
    with pytest.raises(OSError, match='3.0 GB free, about 8 GB are needed'):
        tool._check_space(folder)


def test_a_second_set_up_waits_for_the_first(tool, tmp_path):
    order = []

    def second():
        with tool.alone(tmp_path / '.venv'):
            order.append('second')

    with tool.alone(tmp_path / '.venv'):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.2)
        order.append('first')
    thread.join(10)
    assert order == ['first', 'second']


def test_the_steps_and_the_mark(tool, column, tmp_path, monkeypatch):
    """All of `make` but the commands, which are noted instead."""
    ran = []

    def run(self, title, command, env=None, cwd=None):
        mark = json.loads((tmp_path / '.venv' / tool.MARK).read_text())
        assert mark['state'] == 'unfinished'
        ran.append(' '.join(map(str, command)))

    doctor = []
    monkeypatch.setattr(tool.StepRunner, 'run', run)
    monkeypatch.setattr(
        tool, 'install_mmcv', lambda *args: ran.append(f'mmcv {args[2]}')
    )
    monkeypatch.setattr(
        tool.subprocess, 'run', lambda command, **_: doctor.append(command)
    )
    python = tool.Python(sys.executable, HERE)
    column = tool.COLUMNS['a']
    tool.make(tmp_path / '.venv', column, python, tmp_path / 'log')
    venv, packages, mmcv, no_deps = ran
    assert venv.endswith(f'-m venv {tmp_path}/.venv')
    assert 'column_a.txt' in packages and ' torch torchvision ' in packages
    assert packages.endswith(f'--editable {tmp_path}[{column.extras}]')
    assert mmcv == 'mmcv 2.0.0rc4'
    assert no_deps.endswith('--no-deps mmtrack mmcls trackeval')
    assert 'check_env.py' in doctor[0][1]
    mark = json.loads((tmp_path / '.venv' / tool.MARK).read_text())
    assert mark['state'] == 'ready'
    assert mark['key'] == tool.key_of(column, HERE)


def test_a_failed_step_is_one_message(tool, monkeypatch, capsys):
    def fail(*args):
        raise tool.RuntimeError('mmcv: no compiler')

    tool.RuntimeError = RuntimeError
    monkeypatch.setattr(tool, 'find_python', fail)
    monkeypatch.setattr(sys, 'argv', ['setup_env.py', '--column', 'b'])
    with pytest.raises(SystemExit, match='mmcv: no compiler'):
        tool.main()
