"""Find a Python of a wanted version that really runs.

A name on the PATH is not enough: pyenv puts there a `python3.9` that only
prints that no 3.9 is chosen, and Debian's lacks `venv` until asked for.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Iterator, List, NamedTuple, Sequence

# The base executable: what is found may itself live in an environment that
# is about to be replaced.
_PROBE = (
    'import sys\n'
    'print("%d.%d" % sys.version_info[:2])\n'
    'print(getattr(sys, "_base_executable", None) or sys.executable)\n'
    'import venv, ensurepip\n'
    'print("complete")'
)


class Python(NamedTuple):
    """An interpreter and its version, such as ``'3.11'``."""

    path: str
    version: str


class NoPython(RuntimeError):
    """None fits; the message says what was tried and what to do."""


def find_python(versions: Sequence[str], wanted: str = '') -> Python:
    """The first interpreter that runs, can make environments and fits.

    Args:
        versions: Accepted versions, such as ``('3.11', '3.10')``, the best
            first.
        wanted: Path or name of the one to take; empty: search the PATH, the
            interpreter that runs this, and those of pyenv and uv.

    Raises:
        NoPython: None was found, or ``wanted`` does not fit.
    """
    tried: List[str] = []
    if wanted:
        found = _examine(wanted, versions, tried)
        if found:
            return found
    else:
        for version in versions:
            for path in _candidates(version):
                found = _examine(path, (version,), tried)
                if found:
                    return found
    best = versions[0]
    raise NoPython(
        f'no fitting Python: {" or ".join(versions)} is needed.\n'
        + ''.join(f'  tried {line}\n' for line in tried)
        + f'Install one (`apt install python{best} python{best}-venv '
        f'python{best}-dev`, `pyenv install {best}` or `uv python install '
        f'{best}`)\nand run again, with PYTHON=/path/to/python{best} where '
        'it is in no usual place.'
    )


def _candidates(version: str) -> Iterator[str]:
    """Files that may be a Python of this version, each once."""
    name = f'python{version}'
    folders = [*os.get_exec_path(), '/usr/local/bin', '/opt/homebrew/bin']
    paths = [Path(folder) / name for folder in folders]
    paths.append(Path(sys.executable))
    home = Path.home()
    pyenv = Path(os.environ.get('PYENV_ROOT') or home / '.pyenv')
    paths += sorted(pyenv.glob(f'versions/{version}.*/bin/{name}'))
    uv = home / '.local/share/uv/python'
    paths += sorted(uv.glob(f'cpython-{version}.*/bin/{name}'))
    paths += [Path(folder) / 'python3' for folder in os.get_exec_path()]
    for path in dict.fromkeys(paths):
        if path.is_file():
            yield str(path)


def _examine(path: str, versions: Sequence[str], tried: List[str]):
    """The interpreter if it is good, else None and the reason in tried."""
    try:
        run = subprocess.run(
            [path, '-c', _PROBE],
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        tried.append(f'{path}: {error}')
        return None
    answer = run.stdout.splitlines()
    if not answer:
        said = (run.stderr.strip() or 'it printed nothing').splitlines()[0]
        tried.append(f'{path}: does not run ({said})')
    elif answer[0] not in versions:
        tried.append(f'{path}: is Python {answer[0]}')
    elif 'complete' not in answer:
        tried.append(
            f'{path}: has no venv (Debian: apt install python{answer[0]}-venv)'
        )
    else:
        return Python(answer[1], answer[0])
    return None
