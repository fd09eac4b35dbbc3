"""The environments that the project is tested in, and their exact versions."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, NamedTuple, Tuple


class Column(NamedTuple):
    """One of the environments that the project is tested in.

    Attributes:
        folder: Its place in the checkout.
        pythons: Python versions with wheels of its torch, best first.
        pins: Its constraint file.
        packages: What is installed beside the project's own requirements.
        extras: The project's extras.
        no_deps: Packages whose own demands cannot be met.
    """

    folder: str
    pythons: Tuple[str, ...]
    pins: str
    packages: Tuple[str, ...]
    extras: str
    no_deps: Tuple[str, ...] = ()


_BASE = ('torch', 'torchvision', 'numpy', 'opencv-python', 'setuptools')
_TO_BUILD = ('wheel', 'ninja', 'psutil')
COLUMNS: Dict[str, Column] = {
    'a': Column(
        '.venv',
        ('3.11', '3.10', '3.9', '3.8'),
        'column_a.txt',
        (*_BASE, *_TO_BUILD),
        'det,track,sample,video,tests,lint',
        ('mmtrack', 'mmcls', 'trackeval'),
    ),
    'b': Column(
        '.venv-b',
        ('3.11', '3.12', '3.10', '3.9'),
        'column_b.txt',
        (*_BASE, *_TO_BUILD),
        'det,sample,video,tests,lint',
    ),
    'minimal': Column(
        '.venv-minimal',
        ('3.11', '3.12', '3.10', '3.9'),
        'minimal.txt',
        (*_BASE, 'wheel', 'mmcv-lite'),
        'sample,tests,lint',
    ),
}


def read_pins(path: Path) -> Dict[str, str]:
    """Versions by name of a constraint file's lines without a condition."""
    pins = {}
    for line in path.read_text(encoding='utf-8').splitlines():
        name, found, version = line.partition('==')
        if found and ';' not in version and not name.startswith('#'):
            pins[name] = version.strip()
    return pins
