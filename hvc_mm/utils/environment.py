"""Check from metadata alone whether what is installed can work together.

`import hvc_mm` checks what hvc_mm itself needs; the doctor,
`tools/misc/check_env.py`, adds what its neighbours need and what only a real
import can tell. Nothing heavy may be imported here.
"""

from __future__ import annotations

import multiprocessing
import os
from contextlib import suppress
from importlib import metadata
from typing import Mapping, NamedTuple, Optional

try:
    from packaging.specifiers import SpecifierSet
    from packaging.version import InvalidVersion, Version
except ImportError as error:
    raise ImportError(
        'hvc_mm needs packaging, which is not installed.\n'
        '    pip install packaging'
    ) from error

# By distribution name; None: not installed.
Versions = Mapping[str, Optional[str]]

# Three names that all install into one folder, `mmcv/`.
MMCV_NAMES = ('mmcv', 'mmcv-lite', 'mmcv-full')
PACKAGES = (
    *('torch', 'torchvision', 'mmengine', *MMCV_NAMES, 'mmdet', 'mmtrack'),
    *('mmcls', 'modelindex', 'numpy', 'opencv-python', 'setuptools'),
)


class Problem(NamedTuple):
    """One thing that is wrong, and the shell command that fixes it.

    ``fatal``: hvc_mm itself cannot work; else a neighbouring project cannot.
    """

    what: str
    fix: str
    fatal: bool = True


def installed_versions() -> Versions:
    """Look the versions of `PACKAGES` up; None for what is not installed."""
    found: dict[str, str | None] = dict.fromkeys(PACKAGES)
    for name in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def fits(version: str | None, specifier: str) -> bool:
    """Tell whether a version is known and inside, e.g. ``'>=0.10,<1'``."""
    try:
        known = Version(version or '')
    except InvalidVersion:
        return False
    return SpecifierSet(specifier).contains(known, prereleases=True)


def check_dependencies() -> None:
    """Report at import what is missing or too old or new for hvc_mm.

    Child processes stay silent: their parent has said it. The variable
    ``HVC_SKIP_ENV_CHECK=1`` turns the check off.

    Raises:
        ImportError: hvc_mm cannot work. The message holds every problem with
            the command that fixes it.
    """
    skipped = os.environ.get('HVC_SKIP_ENV_CHECK', '0') not in ('', '0')
    if skipped or multiprocessing.parent_process() is not None:
        return
    problems = find_problems(installed_versions())
    if problems:
        lines = [f'- {p.what}\n    {p.fix}' for p in problems]
        raise ImportError(
            'hvc_mm cannot work in this environment:\n' + '\n'.join(lines)
        )


def find_problems(versions: Versions) -> list[Problem]:
    """Find what keeps hvc_mm from working."""
    mmcvs = [name for name in MMCV_NAMES if versions.get(name)]
    mmcv, pair = mmcv_line(versions), pair_line(versions)
    if mmcvs and mmcvs != ['mmcv-lite']:
        mmcv = f'pip uninstall -y {" ".join(mmcvs)} && {mmcv}'
    old = built_for_numpy_1(versions)
    vision = matching_torchvision(versions.get('torch'))
    mmengine = _install(versions, 'mmengine==0.10.7')
    needed = (
        ('torch', '>=2.0', pair),
        ('torchvision', f'=={vision}.*' if vision else '', pair),
        ('mmengine', '>=0.10.0,<1.0.0', mmengine),
        (
            'numpy',
            '<2' if old else '',
            _install(versions, *([] if old else ['numpy'])),
        ),
        ((*mmcvs, 'mmcv-lite')[0], '>=2.0.0rc4,<2.3.0', mmcv),
    )
    problems = []
    for name, works, fix in needed:
        found = versions.get(name)
        if not fits(found, works):
            by = f' by {old}' if name == 'numpy' and old else ''
            what = f'{name} {found} is installed, {works} is needed{by}.'
            missing = f'{name} is not installed.'
            problems.append(Problem(what if found else missing, fix))
    if len(mmcvs) > 1:
        names = ' and '.join(mmcvs)
        what = f'{names} share one folder and overwrite each other.'
        problems.append(Problem(what, mmcv))
    return problems


def matching_torchvision(torch: str | None) -> str | None:
    """Give the ``'major.minor'`` of the torchvision made for a torch 2."""
    if not fits(torch, '>=2.0.0.dev0,<3'):
        return None
    # From torch 2.0 with torchvision 0.15 on, both are counted up together.
    return f'0.{Version(torch).minor + 15}'


def built_for_numpy_1(versions: Versions) -> str:
    """Name what is installed and can't work with numpy 2; '' if nothing is.

    mmcv is not among them: it is as old, but what is used of it works.
    """
    # The first torch that was built for numpy 2, the first mmdet that has only
    # one place where it fails with it: its YouTubeVISMetric.
    for name, old in (('torch', '<2.3'), ('mmdet', '<3.3.0')):
        if fits(versions.get(name), old):
            return f'{name} {versions[name]}'
    return ''


def _is_old(versions: Versions) -> bool:
    """Tell MMTracking's generation: mmcv 2.0, torch 2.0, numpy < 1.24."""
    return bool(versions.get('mmtrack')) or fits(
        versions.get('mmdet'), '<=3.0.0rc6'
    )


def _install(versions: Versions, *packages: str) -> str:
    """Give a command that keeps numpy where the rest needs it."""
    if _is_old(versions):
        packages += ('numpy<1.24', 'opencv-python==4.10.0.84')
    elif built_for_numpy_1(versions) or (
        # All of it works with numpy 1 only; who has 2 keeps it.
        versions.get('mmdet') and not fits(versions.get('numpy'), '>=2')
    ):
        # Else pip takes version 5 of OpenCV, which needs numpy 2.
        packages += ('numpy<2', 'opencv-python==4.10.0.84')
    quoted = ' '.join(
        f'"{p}"' if '=' in p or '<' in p else p for p in packages
    )
    return f'pip install {quoted}'


def pair_line(versions: Versions) -> str:
    """Give the command that installs a torch and its torchvision."""
    torch = versions.get('torch') or ''
    if matching_torchvision(torch):
        pair = torch.split('+')[0], f'{matching_torchvision(torch)}.*'
    elif _is_old(versions) or fits(versions.get('mmcv'), '<2.0.1'):
        pair = '2.0.1', '0.15.2'
    elif versions.get('mmdet') or versions.get('mmcv'):
        pair = '2.6.0', '0.21.0'
    else:  # the newest that there are for this Python
        return _install(versions, 'torch', 'torchvision')
    torch, vision = f'torch=={pair[0]}', f'torchvision=={pair[1]}'
    return _install({**versions, 'torch': pair[0]}, torch, vision)


def mmcv_line(versions: Versions) -> str:
    """Give the command that installs the mmcv that fits."""
    # mmdet and mmtrack need its operators, which have to be built.
    if not any(versions.get(name) for name in ('mmcv', 'mmdet', 'mmtrack')):
        return _install(versions, 'mmcv-lite==2.2.0')
    # mmcv 2.0 is C++14, the headers of torch 2.1 are C++17.
    old = fits(versions.get('torch'), '<2.1') or versions.get('mmtrack')
    mmcv = f'mmcv=={"2.0.0rc4" if old else "2.1.0"}'
    install = _install(versions, '--no-build-isolation', mmcv)
    return (
        'pip install "setuptools<70" wheel ninja psutil && MMCV_WITH_OPS=1 '
        f'{install}'
    )
