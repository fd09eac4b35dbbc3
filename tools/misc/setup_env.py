"""Make the project's own environment: one column of `requirements/`.

Run by `make env`; needs nothing but a Python 3.8 or later to run itself. An
environment is ready or it does not count: a set-up that was interrupted, or
whose requirements have changed since, starts afresh.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from mmcv_wheel import install_mmcv
from steps import SetupError, Steps, environment, find_python

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / '.cache'
STATE = 'hvc_mm_env.json'
# Part of an environment's key; raise it when the steps below change.
RECIPE = 1
GIGABYTES = 8  # column a takes 7


class Column(NamedTuple):
    """One of the environments that the project is tested in."""

    folder: str
    pythons: tuple[str, ...]  # with wheels of its torch, the best one first
    pins: str
    packages: str
    extras: str
    no_deps: str = ''  # their own demands can't be met


_BASE = 'torch torchvision numpy opencv-python setuptools wheel'
COLUMNS = {
    'a': Column(
        '.venv',
        ('3.11', '3.10', '3.9', '3.8'),
        'column_a.txt',
        f'{_BASE} ninja psutil',
        'det,track,timm,transformers,sample,report,video,tests,lint',
        'mmtrack mmcls trackeval',
    ),
    'b': Column(
        '.venv-b',
        ('3.11', '3.10', '3.9', '3.8'),
        'column_b.txt',
        f'{_BASE} ninja psutil',
        'det,sample,report,video,tests,lint',
    ),
    'b-newest': Column(
        '.venv-b-newest',
        ('3.11', '3.12', '3.10'),
        'column_b-newest.txt',
        f'{_BASE} ninja psutil',
        'det,sample,report,video,tests,lint',
    ),
    'minimal': Column(
        '.venv-minimal',
        ('3.13', '3.12', '3.11', '3.10'),
        'minimal.txt',
        f'{_BASE} mmcv-lite',
        'timm,transformers,sample,notebook,report,web,browser,tests,lint',
    ),
}


def key_of(column: Column, python: str) -> str:
    """Hash what an environment is made from."""
    digest = hashlib.sha256(f'{RECIPE} {python} {ROOT}'.encode())
    for path in (ROOT / 'requirements' / column.pins, ROOT / 'setup.py'):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def read_state(folder: Path) -> dict:
    """Read what the set-up noted in an environment."""
    try:
        return json.loads((folder / STATE).read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return {}


def is_ready(folder: Path, column: Column, wanted: str = '') -> bool:
    """Tell whether the environment is finished, current and still runs.

    ``wanted`` is the version of the Python asked for; empty: any that fits.
    """
    state = read_state(folder)
    python = state.get('python', '')
    if state.get('state') != 'ready' or python not in column.pythons:
        return False
    if state['key'] != key_of(column, python) or wanted not in ('', python):
        return False
    try:
        command = [str(folder / 'bin/python'), '-c', '']
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:  # the Python that it was made with is gone
        return False


def start_afresh(folder: Path, steps: Steps) -> None:
    """Remove an unfinished or outdated environment.

    Raises:
        SetupError: The folder was not made by this script.
    """
    # Moved first: a removal that is interrupted leaves no half environment.
    old = folder.with_name(f'{folder.name}-hvc-old')
    shutil.rmtree(old, ignore_errors=True)
    if not folder.exists():
        return
    state = read_state(folder)
    if not state and any(folder.iterdir()):
        raise SetupError(
            f'{folder} exists and was not made by `make env`; move it away or '
            'choose another place with VENV=...'
        )
    why = 'is outdated' if state.get('state') == 'ready' else 'stopped'
    steps.say(f'{folder.name}: the earlier set-up {why}, starting afresh')
    folder.replace(old)
    shutil.rmtree(old)


def make(folder: Path, column: Column, python: tuple, log: Path) -> None:
    """Make an environment with a Python (path and version), step by step."""
    path, version = python
    steps = Steps(log)
    steps.say(f'{folder.name}: Python {version} ({path}); log: {log}')
    start_afresh(folder, steps)
    parent = next(parent for parent in folder.parents if parent.exists())
    free = shutil.disk_usage(parent).free / 1e9
    if free < GIGABYTES:
        raise SetupError(
            f'{parent}: {free:.1f} GB free, about {GIGABYTES} GB are needed'
        )
    folder.mkdir(parents=True)
    state = dict(key=key_of(column, version), python=version)
    (folder / STATE).write_text(json.dumps(dict(state, state='unfinished')))
    steps.run('making the environment', [path, '-m', 'venv', folder])
    install(steps, folder / 'bin/python', column)
    (folder / STATE).write_text(json.dumps(dict(state, state='ready')))
    steps.say(f'{folder.name} is ready')


def install(steps: Steps, python: Path, column: Column) -> None:
    """Install a column's packages, and see what the doctor says."""
    pins = ROOT / 'requirements' / column.pins
    # pip would compile all there is, for minutes. What a run imports is
    # compiled by the doctor, which imports it and may write bytecode.
    options = ['--progress-bar', 'off', '--no-compile', '--constraint', pins]
    command = [python, '-m', 'pip', 'install', *options]
    env = environment(python)
    steps.say(f'installing {pins.name}, in one set (some gigabytes)')
    project = ['--editable', f'{ROOT}[{column.extras}]']
    packages = [*command, *column.packages.split(), *project]
    steps.run('installing packages', packages, env)
    mmcv = re.search(r'^mmcv==(\S+)', pins.read_text(), re.M)
    if mmcv:
        install_mmcv(steps, python, mmcv[1], CACHE / 'wheels')
    if column.no_deps:
        packages = [*command, '--no-deps', *column.no_deps.split()]
        steps.run('installing MMTracking', packages, env)
    steps.say('looking at what there is now')
    doctor = [str(python), str(ROOT / 'tools/misc/check_env.py')]
    subprocess.run(doctor, env=env, stdin=subprocess.DEVNULL, check=False)


def prepare(column: Column, folder: Path, wanted: str) -> None:
    """Make the environment, unless it is ready.

    A second set-up of the same folder waits for the first.
    """
    CACHE.mkdir(exist_ok=True)
    with open(CACHE / f'{folder.name}.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Looking for a Python takes a moment: only when one is needed.
        python = wanted and find_python(column.pythons, wanted)
        if not is_ready(folder, column, python[1] if python else ''):
            python = python or find_python(column.pythons)
            log = CACHE / 'logs' / f'{folder.name.lstrip(".")}.log'
            make(folder, column, python, log)


def main() -> None:
    """Read the command line, and say in one message what went wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--column', choices=sorted(COLUMNS), default='a')
    parser.add_argument(
        '--python', default='', help='the Python to make it with'
    )
    parser.add_argument(
        '--venv', default='', help="its folder, if not the column's own"
    )
    args = parser.parse_args()
    column = COLUMNS[args.column]
    folder = (ROOT / (args.venv or column.folder)).absolute()
    # So that a terminated set-up ends its compilers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        prepare(column, folder, args.python)
    except KeyboardInterrupt:
        sys.exit('\ninterrupted; `make env` again starts afresh')
    except (SetupError, OSError) as error:
        sys.exit(f'\n{error}')


if __name__ == '__main__':
    main()
