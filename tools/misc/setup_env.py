"""Make the project's own environment: one column of `requirements/`.

Run by `make env`; needs nothing but a Python 3.8 or later to run itself. An
environment is ready or it does not count: a set-up that was interrupted, or
whose requirements have changed since, starts afresh, because packages that
were upgraded and downgraded one by one leave two copies of metadata behind.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from build_mmcv import environment, install_mmcv
from columns import COLUMNS, Column, read_pins
from find_python import NoPython, Python, find_python
from step_runner import StepError, StepRunner

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / '.cache'
MARK = 'hvc_mm_env.json'
# Part of an environment's key; raise it when the steps below change.
RECIPE = 1
_GIGABYTES = 8
_REMOVE = (
    sys.executable,
    '-c',
    'import shutil, sys; shutil.rmtree(sys.argv[1])',
)


def key_of(column: Column, python: str) -> str:
    """What an environment was made from, as one number."""
    digest = hashlib.sha256(f'{RECIPE} {python} {ROOT}'.encode())
    for path in (ROOT / 'requirements' / column.pins, ROOT / 'setup.py'):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def is_ready(folder: Path, column: Column, wanted: str = '') -> bool:
    """Whether the environment is finished, current and still runs.

    Args:
        folder: The environment.
        column: What it should hold.
        wanted: The Python asked for, as its version; empty: any that fits.
    """
    mark = _read_mark(folder)
    python = mark.get('python', '')
    if mark.get('state') != 'ready' or python not in column.pythons:
        return False
    if wanted and python != wanted:
        return False
    if mark.get('key') != key_of(column, python):
        return False
    try:
        command = [str(folder / 'bin/python'), '-c', '']
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:  # the Python that it was made with is gone
        return False


def start_afresh(folder: Path, runner: StepRunner) -> None:
    """Take away an unfinished or outdated environment.

    Raises:
        FileExistsError: The folder was not made by this script.
    """
    if not folder.exists():
        return
    mark = _read_mark(folder)
    if not mark and any(folder.iterdir()):
        raise FileExistsError(
            f'{folder} exists and was not made by `make env`; move it away or '
            'choose another place with VENV=...'
        )
    if mark:
        why = 'is outdated' if mark.get('state') == 'ready' else 'stopped'
        runner.say(f'{folder.name}: the earlier set-up {why}, starting afresh')
    # Moved first: a removal that is interrupted leaves no half environment.
    old = folder.with_name(f'{folder.name}-hvc-old')
    if old.exists():
        runner.run('removing an older one', [*_REMOVE, str(old)])
    folder.replace(old)
    runner.run('removing the earlier one', [*_REMOVE, str(old)])


def make(folder: Path, column: Column, python: Python, log: Path) -> None:
    """Make the environment, step by step."""
    runner = StepRunner(log)
    runner.say(f'{folder.name}: Python {python.version} ({python.path})')
    runner.say(f'everything that the steps print: {_shown(log)}')
    start_afresh(folder, runner)
    _check_space(folder)
    key = key_of(column, python.version)
    folder.mkdir(parents=True)
    _write_mark(folder, 'unfinished', key, python.version)
    command = [python.path, '-m', 'venv', str(folder)]
    runner.run('making the environment', command)

    inside = folder / 'bin/python'
    pins = ROOT / 'requirements' / column.pins
    install = [
        inside,
        '-m',
        'pip',
        'install',
        '--progress-bar',
        'off',
        '--no-compile',
    ]
    install += ['--constraint', pins]
    env = environment(inside)
    runner.say(f'installing {pins.name}, in one set (some gigabytes)')
    project = ['--editable', f'{ROOT}[{column.extras}]']
    command = [*install, *column.packages, *project]
    runner.run('installing packages', command, env=env, cwd=ROOT)
    versions = read_pins(pins)
    if 'mmcv' in versions:
        install_mmcv(runner, inside, versions['mmcv'], CACHE / 'wheels')
    if column.no_deps:
        command = [*install, '--no-deps', *column.no_deps]
        runner.run('installing MMTracking', command, env=env)
    runner.say('looking at what there is now')
    doctor = [str(inside), str(ROOT / 'tools/misc/check_env.py')]
    subprocess.run(doctor, env=env, stdin=subprocess.DEVNULL, check=False)
    _write_mark(folder, 'ready', key, python.version)
    runner.say(f'{folder.name} is ready')


@contextmanager
def alone(folder: Path):
    """Hold the environment against a second set-up at the same time."""
    CACHE.mkdir(exist_ok=True)
    with open(CACHE / f'{folder.name}.lock', 'w', encoding='utf-8') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f'another set-up of {folder.name} is running; waiting')
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _read_mark(folder: Path) -> dict:
    try:
        return json.loads((folder / MARK).read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return {}


def _write_mark(folder: Path, state: str, key: str, python: str) -> None:
    text = json.dumps(dict(state=state, key=key, python=python))
    (folder / MARK).write_text(text + '\n', encoding='utf-8')


def _check_space(folder: Path) -> None:
    parent = next(path for path in folder.parents if path.exists())
    free = shutil.disk_usage(parent).free / 1e9
    if free < _GIGABYTES:
        raise OSError(
            f'{parent}: {free:.1f} GB free, about {_GIGABYTES} GB are needed'
        )


def _shown(path: Path) -> str:
    """A path as short as it can be said."""
    return str(path.relative_to(ROOT) if ROOT in path.parents else path)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--column', choices=sorted(COLUMNS), default='a')
    parser.add_argument(
        '--python', default='', help='the Python to make it with'
    )
    parser.add_argument(
        '--venv', default='', help="its folder, if not the column's own"
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    column = COLUMNS[args.column]
    folder = (ROOT / (args.venv or column.folder)).absolute()
    # So that a terminated set-up ends its compilers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with alone(folder):
            # Looking for a Python takes a moment: only when one is needed.
            python = None
            if args.python:
                python = find_python(column.pythons, args.python)
            wanted = python.version if python else ''
            if is_ready(folder, column, wanted):
                return
            python = python or find_python(column.pythons)
            log = CACHE / 'logs' / f'{folder.name.lstrip(".")}.log'
            make(folder, column, python, log)
    except KeyboardInterrupt:
        sys.exit('\ninterrupted; `make env` again starts afresh')
    except (StepError, NoPython, OSError, RuntimeError) as error:
        sys.exit(f'\n{error}')


if __name__ == '__main__':
    main()
