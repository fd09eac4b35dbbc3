"""Facts about versions: what goes together, and what to install.

Pure functions of version strings, without any import of the packages
themselves; `dependencies.diagnose` turns them into a report.
"""

from __future__ import annotations

import re
from typing import Mapping, Optional

try:
    from packaging.version import InvalidVersion, Version
except ImportError as error:
    raise ImportError(
        'hvc_mm needs packaging, which is not installed.\n'
        '    pip install packaging'
    ) from error


Versions = Mapping[str, Optional[str]]
OPENCV_PIN = '"opencv-python==4.10.0.84"'  # 5.x needs numpy 2


def below(version: Optional[str], bound: str) -> bool:
    """Whether ``version`` is known and older than ``bound``.

    A release candidate is older than its release.
    """
    parsed = _parse(version)
    return parsed is not None and parsed < Version(bound)


def from_on(version: Optional[str], bound: str) -> bool:
    """Whether ``version`` is known and ``bound`` or newer."""
    parsed = _parse(version)
    return parsed is not None and parsed >= Version(bound)


def matching_torchvision(torch: str) -> Optional[str]:
    """``'major.minor'`` of the torchvision made for a torch.

    Since torch 2.0 with torchvision 0.15 both count their minor versions up
    together. None for a torch of another major version.
    """
    parsed = _parse(torch)
    if parsed is None or parsed.major != 2:
        return None
    return f'0.{parsed.minor + 15}'


def _parse(version: Optional[str]) -> Optional[Version]:
    try:
        return None if version is None else Version(version)
    except InvalidVersion:
        return None


def from_two_sources(torch: str, vision: str) -> bool:
    """Whether just one of the pair says that it is a CPU-only build.

    Suffixes other than ``+cpu`` and ``+cu...`` are somebody's own build and
    say nothing.
    """
    suffixes = [version.partition('+')[2] for version in (torch, vision)]
    if any(not re.match(r'(cpu|cu\d+|)$', suffix) for suffix in suffixes):
        return False
    return (suffixes[0] == 'cpu') != (suffixes[1] == 'cpu')


def wants_operators(versions: Versions) -> bool:
    """mmdet and mmtrack cannot be imported without mmcv's operators."""
    return bool(versions.get('mmdet') or versions.get('mmtrack'))


def numpy_range(versions: Versions) -> str:
    """MMTracking's generation uses names that numpy 1.24 dropped."""
    old = versions.get('mmtrack') or below(versions.get('mmdet'), '3.0.0')
    return '"numpy<1.24"' if old else '"numpy<2"'


def pair_line(versions: Versions) -> str:
    """The command that installs a torch and the torchvision made for it."""
    torch = versions.get('torch')
    if torch and matching_torchvision(torch):
        pair = torch.split('+')[0], f'{matching_torchvision(torch)}.*'
    elif versions.get('mmtrack') or below(versions.get('mmcv'), '2.0.1'):
        pair = '2.0.1', '0.15.2'
    else:
        pair = '2.6.0', '0.21.0'
    return (
        f'pip install "torch=={pair[0]}" "torchvision=={pair[1]}" '
        f'{numpy_range(versions)}'
    )


def mmcv_line(versions: Versions) -> str:
    """The command that installs the mmcv that fits.

    numpy and opencv are named in the same command, else pip takes numpy 2 and
    opencv-python 5 along.
    """
    pins = f'{numpy_range(versions)} {OPENCV_PIN}'
    if not (wants_operators(versions) or versions.get('mmcv')):
        return f'pip install "mmcv-lite==2.1.0" {pins}'
    # mmcv 2.0 is C++14, the headers of torch 2.1 are C++17.
    old = below(versions.get('torch'), '2.1') or versions.get('mmtrack')
    return (
        'pip install "setuptools<70" wheel ninja psutil && MMCV_WITH_OPS=1 '
        'pip install --no-build-isolation '
        f'"mmcv=={"2.0.0rc4" if old else "2.1.0"}" {pins}'
    )
