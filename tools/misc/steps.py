"""What the set-up needs around its steps: a Python, and a visible clock."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Sequence

# The base executable: what is found may itself be in an environment that is
# about to be replaced.
_PROBE = (
    'import sys\n'
    'print("%d.%d" % sys.version_info[:2])\n'
    'print(getattr(sys, "_base_executable", None) or sys.executable)\n'
    'import venv, ensurepip\n'
    'print("complete")'
)


class SetupError(RuntimeError):
    """The set-up can't go on; the message says why and what to do."""


class Steps:
    """Runs commands one after the other, with a clock that starts here.

    All that they print goes to a log. Every few seconds its last line is
    shown, with the time that the step has taken.

    Args:
        log: The file; made anew.
        heartbeat: Seconds between two such lines.
    """

    def __init__(self, log: Path, heartbeat: float = 20.0) -> None:
        self.log = log
        self.heartbeat = heartbeat
        self.start = time.monotonic()
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text('')

    def say(self, text: str) -> None:
        """Print a line with the time since the start in front."""
        print(f'[{_clock(self.start):>5}] {text}', flush=True)

    def run(
        self, title: str, command: Sequence, env: dict[str, str] | None = None
    ) -> None:
        """Run a command to its end.

        Raises:
            SetupError: The command failed; the message holds its last lines.
        """
        self.say(f'{title} ...')
        with self.log.open('a') as log:
            process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=env,
                # A group of its own, so that compilers end with pip.
                start_new_session=True,
            )
        self._wait(title, process)
        if process.returncode:
            raise SetupError(
                f'{title}: failed with exit status {process.returncode}. The '
                f'last lines of {self.log}:\n' + '\n'.join(self._tail(25))
            )

    def _wait(self, title: str, process: subprocess.Popen) -> None:
        began = time.monotonic()
        try:
            while process.poll() is None:
                try:
                    process.wait(self.heartbeat)
                except subprocess.TimeoutExpired:
                    last = ''.join(self._tail(1)).strip()[:70]
                    self.say(f'... {title}, {_clock(began)} so far: {last}')
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
            raise

    def _tail(self, count: int) -> list[str]:
        text = self.log.read_text(encoding='utf-8', errors='replace')
        return text.splitlines()[-count:]


def _clock(since: float) -> str:
    """Time since a moment, as ``m:ss``."""
    seconds = int(time.monotonic() - since)
    return f'{seconds // 60}:{seconds % 60:02d}'


def environment(python: Path) -> dict[str, str]:
    """Make this process's variables those of an activated environment."""
    unwanted = ('PYTHONPATH', 'PYTHONHOME', 'MAKEFLAGS', 'MFLAGS')
    unwanted += ('PYTHONDONTWRITEBYTECODE',)  # see `install`
    env = {k: v for k, v in os.environ.items() if k not in unwanted}
    env['VIRTUAL_ENV'] = str(python.parents[1])
    env['PATH'] = f'{python.parent}{os.pathsep}{env.get("PATH", "")}'
    env['PIP_DISABLE_PIP_VERSION_CHECK'] = '1'
    env['PIP_NO_INPUT'] = '1'
    env['PYTHONUNBUFFERED'] = '1'
    return env


def find_python(versions: Sequence[str], wanted: str = '') -> tuple[str, str]:
    """Find an interpreter that runs, can make environments and fits.

    A name on the PATH is not enough: pyenv puts a `python3.9` there that only
    prints that no 3.9 is chosen, and Debian's lacks `venv` until asked for.

    Args:
        versions: Accepted versions, the preferred one first.
        wanted: Path or name of the one to take; empty: search the PATH, the
            interpreter that runs this, and those of pyenv and uv.

    Returns:
        tuple: Its path and version.

    Raises:
        SetupError: None was found, or ``wanted`` does not fit.
    """
    tried = {}
    for version in versions:
        for path in [wanted] if wanted else _candidates(version):
            found, said = _examine(path)
            if found in (versions if wanted else [version]):
                return said, found
            tried[path] = f'is Python {found}' if found else said
    first = versions[0]
    raise SetupError(
        f'no fitting Python: {" or ".join(versions)} is needed.\n'
        + ''.join(f'  tried {path}: {why}\n' for path, why in tried.items())
        + f'Install one (`apt install python{first} python{first}-venv '
        f'python{first}-dev`, `pyenv install {first}` or `uv python install '
        f'{first}`)\nand run again, with PYTHON=/path/to/python{first} where '
        'it is in no usual place.'
    )


def _candidates(version: str) -> list[str]:
    """List files that may be a Python of this version, each once."""
    name = f'python{version}'
    folders = [*os.get_exec_path(), '/usr/local/bin', '/opt/homebrew/bin']
    paths = [Path(folder) / name for folder in folders]
    paths.append(Path(sys.executable))
    pyenv = Path(os.environ.get('PYENV_ROOT') or Path.home() / '.pyenv')
    paths += sorted(pyenv.glob(f'versions/{version}.*/bin/{name}'))
    uv = Path.home() / '.local/share/uv/python'
    paths += sorted(uv.glob(f'cpython-{version}.*/bin/{name}'))
    paths += [Path(folder) / 'python3' for folder in os.get_exec_path()]
    return [str(path) for path in dict.fromkeys(paths) if path.is_file()]


def _examine(path: str) -> tuple[str, str]:
    """Give an interpreter's version and real path, or '' and what is wrong."""
    try:
        run = subprocess.run(
            [path, '-c', _PROBE],
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return '', str(error)
    answer = run.stdout.splitlines()
    if not answer:
        said = (run.stderr.strip() or 'it printed nothing').splitlines()[0]
        return '', f'does not run ({said})'
    if 'complete' not in answer:
        return '', f'has no venv (Debian: apt install python{answer[0]}-venv)'
    return answer[0], answer[1]
