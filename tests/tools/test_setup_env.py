"""The set-up: ready or not, its steps, Pythons, constraint files."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HERE = '{}.{}'.format(*sys.version_info[:2])
BASE = getattr(sys, '_base_executable', sys.executable)
COLUMNS = ('a', 'b', 'b-newest', 'minimal')


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
def steps(tool, tmp_path):
    return tool.Steps(tmp_path / 'logs/log', heartbeat=0.3)


@pytest.fixture
def note(tool, tmp_path):
    """Write the note of an environment in `.venv`."""

    def write(state='ready', key=None, python=HERE):
        column = tool.COLUMNS['minimal']
        key = key or tool.key_of(column, HERE)
        text = json.dumps(dict(state=state, key=key, python=python))
        (tmp_path / '.venv' / tool.STATE).write_text(text)

    return write


@pytest.fixture
def folder(tmp_path, note):
    """A finished environment, as far as can be told from outside."""
    made = tmp_path / '.venv'
    (made / 'bin').mkdir(parents=True)
    (made / 'bin/python').symlink_to(sys.executable)
    note()
    return made


def test_ready_or_not(tool, folder, column, note, tmp_path):
    assert tool.is_ready(folder, column)
    assert tool.is_ready(folder, column, HERE)
    assert not tool.is_ready(folder, column, '3.9')
    assert not tool.is_ready(tmp_path / 'none', column)
    # Another column's pins do not matter, its own do.
    (tmp_path / 'requirements/column_a.txt').write_text('')
    assert tool.is_ready(folder, column)
    note('unfinished')
    assert not tool.is_ready(folder, column)
    note()
    python = folder / 'bin/python'
    python.unlink()
    python.symlink_to('/no/such/python')
    assert not tool.is_ready(folder, column)


@pytest.mark.parametrize('name', ['requirements/minimal.txt', 'setup.py'])
def test_a_changed_requirement_is_seen(tool, folder, column, tmp_path, name):
    with (tmp_path / name).open('a') as file:
        file.write('# changed\n')
    assert not tool.is_ready(folder, column)


@pytest.mark.parametrize(
    'state, said', [('unfinished', 'stopped'), ('ready', 'is outdated')]
)
def test_an_old_one_is_removed(tool, folder, note, steps, state, said, capsys):
    note(state, 'another key')
    # A removal that was interrupted is finished, too.
    shutil.copytree(folder, folder.with_name('.venv-hvc-old'), symlinks=True)
    tool.start_afresh(folder, steps)
    assert not list(folder.parent.glob('.venv*'))
    assert said in capsys.readouterr().out
    tool.start_afresh(folder, steps)


def test_somebody_elses_environment_is_left_alone(tool, folder, steps):
    (folder / tool.STATE).unlink()
    with pytest.raises(tool.SetupError, match='not made by `make env`'):
        tool.start_afresh(folder, steps)
    assert (folder / 'bin/python').exists()


@pytest.fixture
def disk(tool, tmp_path, monkeypatch):
    """Set how many bytes are free, whatever the disk of this machine."""

    def free(size):
        usage = shutil.disk_usage(tmp_path)._replace(free=size)
        monkeypatch.setattr(tool.shutil, 'disk_usage', lambda path: usage)

    free(9_000_000_000)
    return free


def test_a_full_disk_is_told_before_anything_is_installed(
    tool, column, tmp_path, disk
):
    disk(3_000_000_000)
    with pytest.raises(tool.SetupError, match='3.0 GB free, about 8 GB are'):
        tool.make(tmp_path / 'x', column, ('python', HERE), tmp_path / 'log')
    assert not (tmp_path / 'x').exists()


def test_the_steps_of_a_set_up(tool, tmp_path, disk, monkeypatch):
    """All of `make` but the commands, which are noted instead."""
    ran, doctor = [], []
    made = tmp_path / '.venv'

    def run(self, title, command, env=None):
        assert tool.read_state(made)['state'] == 'unfinished'
        ran.append(' '.join(map(str, command)))

    monkeypatch.setattr(tool.Steps, 'run', run)
    monkeypatch.setattr(
        tool, 'install_mmcv', lambda *args: ran.append(f'mmcv {args[2]}')
    )
    monkeypatch.setattr(
        tool.subprocess, 'run', lambda command, **_: doctor.append(command)
    )
    column = tool.COLUMNS['a']
    tool.make(made, column, (sys.executable, HERE), tmp_path / 'log')
    venv, packages, mmcv, no_deps = ran
    assert venv.endswith(f'-m venv {made}')
    assert 'column_a.txt' in packages and ' torch torchvision ' in packages
    assert packages.endswith(f'--editable {tmp_path}[{column.extras}]')
    assert mmcv == 'mmcv 2.0.0rc4'
    assert no_deps.endswith('--no-deps mmtrack mmcls trackeval')
    assert 'check_env.py' in doctor[0][1]
    key = tool.key_of(column, HERE)
    assert tool.read_state(made) == dict(state='ready', key=key, python=HERE)


def test_a_second_set_up_waits_and_errors_are_one_message(
    tool, tmp_path, monkeypatch
):
    order = []

    def find_python(*_):
        order.append('begun')
        time.sleep(0.3)
        order.append('done')
        raise tool.SetupError('no compiler')

    monkeypatch.setattr(tool, 'find_python', find_python)
    monkeypatch.setattr(tool.signal, 'signal', lambda *_: None)
    monkeypatch.setattr(sys, 'argv', ['setup_env.py', '--column', 'b'])
    said = []

    def main():
        with pytest.raises(SystemExit, match='no compiler') as stop:
            tool.main()
        said.append(stop.value)

    threads = [threading.Thread(target=main) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert order == 2 * ['begun', 'done'] and len(said) == 2


def python(code):
    return [sys.executable, '-u', '-c', code]


def test_a_long_step_shows_time_and_last_line(
    steps, tmp_path, monkeypatch, capsys
):
    seen = tmp_path / 'seen'
    code = (
        'import os, time\nprint("[12/98] c++ nms.cpp")\n'
        f'while not os.path.exists({str(seen)!r}): time.sleep(0.05)'
    )
    times, lines, say = [], [], steps.say

    def watch(text):
        say(text)
        times.append(time.monotonic())
        lines.append('nms.cpp' in text)
        if sum(lines) == 2:
            seen.touch()

    monkeypatch.setattr(steps, 'say', watch)
    steps.run('building', python(code))
    first, *beats = capsys.readouterr().out.splitlines()
    assert first.endswith('] building ...')
    # Until the command has printed its line there is none to show.
    shown = (
        r'\[ 0:\d\d\] \.\.\. building, 0:\d\d so far: '
        r'(\[12/98\] c\+\+ nms.cpp)?'
    )
    assert all(re.fullmatch(shown, beat) for beat in beats)
    assert sum(beat.endswith('nms.cpp') for beat in beats) >= 2
    gaps = [after - before for before, after in zip(times, times[1:])]
    assert min(gaps) >= steps.heartbeat


def test_a_failure_holds_the_last_lines_and_the_log(tool, steps):
    code = 'print("\\n".join(map(str, range(40)))); raise SystemExit(3)'
    with pytest.raises(tool.SetupError) as caught:
        steps.run('step', python(code))
    said = str(caught.value)
    assert 'exit status 3' in said and str(steps.log) in said
    assert said.splitlines()[1:] == [str(i) for i in range(15, 40)]


def test_an_interruption_ends_the_whole_group(steps, tmp_path, monkeypatch):
    """A child of the command must not go on compiling."""
    file = tmp_path / 'pid'
    code = (
        'import subprocess, sys, time\n'
        'child = subprocess.Popen([sys.executable, "-c",'
        ' "import time; time.sleep(60)"])\n'
        f'open({str(file)!r}, "w").write(str(child.pid))\n'
        'time.sleep(60)'
    )

    def say(text):
        if file.exists() and file.read_text():
            raise KeyboardInterrupt

    monkeypatch.setattr(steps, 'say', say)
    with pytest.raises(KeyboardInterrupt):
        steps.run('step', python(code))
    for _ in range(100):
        command = ['ps', '-o', 'stat=', '-p', file.read_text()]
        state = subprocess.run(command, capture_output=True, text=True).stdout
        if not state.strip() or state.startswith('Z'):
            return
        time.sleep(0.05)
    os.kill(int(file.read_text()), 9)
    pytest.fail('the child of the interrupted command is still running')


def test_the_environment_is_that_of_the_python_alone(load_tool, monkeypatch):
    unwanted = 'PYTHONPATH', 'PYTHONDONTWRITEBYTECODE'
    for name in unwanted:
        monkeypatch.setenv(name, '/somewhere/else')
    env = load_tool('misc/steps.py').environment(Path('/made/bin/python'))
    assert not env.keys() & set(unwanted) and env['VIRTUAL_ENV'] == '/made'
    assert env['PATH'].startswith('/made/bin:')


@pytest.fixture
def pythons(load_tool, monkeypatch, tmp_path):
    """A world that has no Python but those that a test writes."""
    module = load_tool('misc/steps.py')
    monkeypatch.setenv('PATH', str(tmp_path / 'bin'))
    monkeypatch.setenv('PYENV_ROOT', str(tmp_path / 'pyenv'))
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.setattr(module.sys, 'executable', str(tmp_path / 'none'))

    def write(path, text):
        path = tmp_path / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('#!/bin/sh\n' + text)
        path.chmod(0o755)

    return module, write


def test_a_shim_that_does_not_run_is_passed_over(pythons):
    module, write = pythons
    write(f'bin/python{HERE}', 'echo "no version set" >&2; exit 1')
    good = f'pyenv/versions/{HERE}.4/bin/python{HERE}'
    write(good, f'exec {BASE} "$@"')
    path, version = module.find_python((HERE,))
    assert version == HERE
    # Not what was found but what it is: an environment can be replaced by
    # the Python that is inside it.
    assert os.path.samefile(path, BASE)


def test_the_first_version_of_the_list_wins(pythons):
    module, write = pythons
    write('bin/python3.9', 'echo 3.9; echo /nine; echo complete')
    write(f'bin/python{HERE}', f'exec {BASE} "$@"')
    assert module.find_python((HERE, '3.9'))[1] == HERE
    assert module.find_python(('3.9', HERE)) == ('/nine', '3.9')


def test_none_fits_and_the_message_says_why(pythons):
    module, write = pythons
    write('bin/python3.8', 'echo "no version set" >&2; exit 1')
    write('bin/python3.10', 'echo 3.10; echo /ten; exit 1')
    write('bin/python3', 'echo 3.7; echo /seven; echo complete')
    with pytest.raises(module.SetupError) as caught:
        module.find_python(('3.8', '3.10'))
    for part in (
        'does not run (no version set)',
        'apt install python3.10-venv',
        'is Python 3.7',
        'PYTHON=/path/to/python3.8',
    ):
        assert part in str(caught.value)


def test_the_wanted_python_is_taken_or_refused(pythons):
    module, _ = pythons
    wanted = sys.prefix + '/bin/python'
    assert module.find_python((HERE,), wanted)[1] == HERE
    with pytest.raises(module.SetupError, match=f'is Python {HERE}'):
        module.find_python(('3.1',), wanted)
    with pytest.raises(module.SetupError, match='no/such/python'):
        module.find_python((HERE,), 'no/such/python')


def constraints(root_dir, column):
    lines = (root_dir / 'requirements' / column.pins).read_text().splitlines()
    return [Requirement(line) for line in lines if line and line[0] not in '#']


@pytest.fixture(scope='module')
def project(root_dir):
    """What setup.py asks for, by extra ('' for always)."""
    import setuptools

    said = {}
    original, setuptools.setup = setuptools.setup, said.update
    try:
        path = root_dir / 'setup.py'
        spec = importlib.util.spec_from_file_location('its_setup', path)
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    finally:
        setuptools.setup = original
    return {'': said['install_requires'], **said['extras_require']}


@pytest.mark.parametrize('name', COLUMNS)
def test_constraint_files(tool, root_dir, project, name):
    """They are exact, complete, inside setup.py's ranges, without clashes."""
    column = tool.COLUMNS[name]
    pins = constraints(root_dir, column)
    for requirement in pins:
        (pin,) = requirement.specifier
        assert pin.operator == '==' and not pin.version.endswith('*')
    for python in column.pythons:
        here = [
            canonicalize_name(requirement.name)
            for requirement in pins
            if not requirement.marker
            or requirement.marker.evaluate({'python_version': python})
        ]
        assert len(here) == len(set(here))
    asked = [*column.packages.split(), *column.no_deps.split()]
    for extra in ('', *column.extras.split(',')):
        asked += [Requirement(text).name for text in project[extra]]
    pinned = {canonicalize_name(pin.name): pin for pin in pins}
    assert {canonicalize_name(package) for package in asked} <= set(pinned)
    for text in [*project[''], *project['det']]:
        requirement = Requirement(text)
        pin = pinned.get(canonicalize_name(requirement.name))
        if pin is not None:
            (version,) = pin.specifier
            assert requirement.specifier.contains(
                version.version, prereleases=True
            ), f'{pin} is outside {requirement}'


@pytest.mark.parametrize('name', COLUMNS)
def test_the_pins_have_no_known_problem(load_tool, tool, root_dir, name):
    doctor = load_tool('misc/check_env.py')
    column = tool.COLUMNS[name]
    for python in column.pythons:
        versions = {
            pin.name: next(iter(pin.specifier)).version
            for pin in constraints(root_dir, column)
            if not pin.marker
            or pin.marker.evaluate({'python_version': python})
        }
        assert versions['torch']
        assert doctor.find_problems(versions) == []
        assert doctor.neighbour_problems(versions) == []
