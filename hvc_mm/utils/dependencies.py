"""Is the environment one that can work? Answered from metadata alone.

`diagnose` is a pure function from versions to problems, each with the line
that mends it. `import hvc_mm` runs it and reports; the doctor,
`tools/misc/check_env.py`, adds what only a real import can tell.

Nothing heavy is imported here, because `import hvc_mm` runs this file in each
training, evaluation and data process.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import re
import sys
import warnings
from importlib import metadata
from typing import Dict, List, NamedTuple, Optional

from .version_rules import (
    OPENCV_PIN,
    Versions,
    below,
    from_on,
    from_two_sources,
    matching_torchvision,
    mmcv_line,
    numpy_range,
    pair_line,
    wants_operators,
)

# Three names that all install into one folder, `mmcv/`.
_MMCV_NAMES = ('mmcv', 'mmcv-lite', 'mmcv-full')
PACKAGES = (
    'torch',
    'torchvision',
    'mmengine',
    *_MMCV_NAMES,
    'mmdet',
    'mmtrack',
    'mmcls',
    'modelindex',
    'numpy',
    'opencv-python',
    'setuptools',
)
# The torch and torchvision wheels that pip finds by default carry CUDA here
# and nowhere else, so `+cpu` beside no suffix means two sources.
_WHEELS_CARRY_CUDA = (sys.platform, platform.machine()) == ('linux', 'x86_64')


class Problem(NamedTuple):
    """One thing that is wrong, and the command that mends it.

    Attributes:
        what: One sentence: what was found, what is needed.
        mend: A shell command.
        fatal: True where hvc_mm itself cannot work; False where a part or a
            neighbouring project cannot.
    """

    what: str
    mend: str
    fatal: bool = True


def installed_versions(names=PACKAGES) -> Dict[str, Optional[str]]:
    """Versions by distribution name, None for what is not installed."""
    found: Dict[str, Optional[str]] = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def diagnose(
    versions: Versions, wheels_carry_cuda: bool = _WHEELS_CARRY_CUDA
) -> List[Problem]:
    """Find what is missing or does not go together.

    Args:
        versions: Version strings by distribution name (those of `PACKAGES`;
            an absent key means the same as None: not installed).
        wheels_carry_cuda: Whether a torch without a suffix such as ``+cpu``
            is a CUDA build, as on Linux x86-64.

    Returns:
        The problems, the fatal ones first. Empty where all is well.
    """
    problems = [
        *_torch_problems(versions, wheels_carry_cuda),
        *_mmengine_problems(versions),
        *_mmcv_problems(versions),
        *_numpy_problems(versions),
        *_neighbour_problems(versions),
    ]
    return sorted(problems, key=lambda problem: not problem.fatal)


def check_dependencies() -> None:
    """Report at import what is missing or clashes.

    Child processes stay silent: their parent has said it. The variable
    ``HVC_SKIP_ENV_CHECK=1`` turns the check off, for an environment that works
    although its version numbers are unusual.

    Raises:
        ImportError: hvc_mm cannot work. The message holds every problem with
            the command that mends it.
    """
    if os.environ.get('HVC_SKIP_ENV_CHECK', '0') not in ('', '0'):
        return
    if multiprocessing.parent_process() is not None:
        return
    problems = diagnose(installed_versions())
    if any(problem.fatal for problem in problems):
        raise ImportError(
            'hvc_mm cannot work in this environment:\n'
            + format_problems(problems)
        )
    if problems:
        warnings.warn(
            'hvc_mm works, but not all that is installed beside it does:\n'
            + format_problems(problems),
            stacklevel=3,
        )


def format_problems(problems: List[Problem]) -> str:
    """Two lines each: what is wrong, and indented the mending command."""
    return '\n'.join(f'- {p.what}\n    {p.mend}' for p in problems)


def _torch_problems(versions: Versions, carry_cuda: bool) -> List[Problem]:
    torch, vision = versions.get('torch'), versions.get('torchvision')
    line = pair_line(versions)
    if torch is None:
        return [Problem('torch is not installed.', line)]
    if below(torch, '2.0'):
        what = f'torch {torch} is installed, 2.0 or later is needed.'
        return [Problem(what, line)]
    if vision is None:
        return [Problem('torchvision is not installed.', line)]
    match = matching_torchvision(torch)
    if match and not re.match(re.escape(match) + r'(\D|$)', vision):
        what = (
            f'torchvision {vision} is not made for torch {torch}, '
            f'which goes with torchvision {match}.'
        )
        return [Problem(what, line)]
    if carry_cuda and from_two_sources(torch, vision):
        what = (
            f'torch {torch} and torchvision {vision}: one is a build without '
            'CUDA, the other is not; they have to come from one source.'
        )
        # `===` keeps pip from taking the build with a suffix again.
        line = line.replace('"torch==', '"torch===')
        mend = f'pip uninstall -y torch torchvision && {line}'
        return [Problem(what, mend)]
    return []


def _mmengine_problems(versions: Versions) -> List[Problem]:
    mmengine = versions.get('mmengine')
    line = (
        f'pip install "mmengine==0.10.7" {numpy_range(versions)} {OPENCV_PIN}'
    )
    if mmengine is None:
        return [Problem('mmengine is not installed.', line)]
    if below(mmengine, '0.10.0') or from_on(mmengine, '1.0.0'):
        what = f'mmengine {mmengine} is installed, >=0.10.0,<1.0.0 is needed.'
        return [Problem(what, line)]
    return []


def _mmcv_problems(versions: Versions) -> List[Problem]:
    present = [name for name in _MMCV_NAMES if versions.get(name)]
    line = mmcv_line(versions)
    if not present:
        what = 'neither mmcv nor mmcv-lite is installed.'
        return [Problem(what, line)]
    listed = ' and '.join(f'{name} {versions[name]}' for name in present)
    replace = f'pip uninstall -y {" ".join(present)} && {line}'
    if len(present) > 1:
        what = f'{listed} share one folder and overwrite each other.'
        return [Problem(what, replace)]
    version = versions[present[0]]
    if below(version, '2.0.0rc4') or from_on(version, '2.3.0'):
        what = f'{listed} is installed, mmcv >=2.0.0rc4,<2.3.0 is needed.'
        return [Problem(what, replace)]
    return []


def _numpy_problems(versions: Versions) -> List[Problem]:
    numpy, torch = versions.get('numpy'), versions.get('torch')
    line = f'pip install {numpy_range(versions)} {OPENCV_PIN}'
    if numpy is None:
        return [Problem('numpy is not installed.', line)]
    if below(numpy, '2'):
        return []
    if below(torch, '2.3'):
        what = f'torch {torch} was built for numpy 1, numpy {numpy} is there.'
        return [Problem(what, line)]
    what = f'mmcv predates numpy 2, numpy {numpy} is installed.'
    return [Problem(what, line, fatal=False)]


def _neighbour_problems(versions: Versions) -> List[Problem]:
    """What keeps mmdet and mmtrack from working; hvc_mm needs neither."""
    return [
        Problem(what, mend, fatal=False)
        for what, mend in (
            *_operator_clashes(versions),
            *_mmtrack_clashes(versions),
            *_mmdet_clashes(versions),
        )
    ]


def _operator_clashes(versions: Versions):
    mmdet, mmtrack = versions.get('mmdet'), versions.get('mmtrack')
    mmcv, lite = versions.get('mmcv'), versions.get('mmcv-lite')
    line = mmcv_line(versions)
    if wants_operators(versions) and lite and not mmcv:
        yield (
            "mmdet and mmtrack need mmcv's operators, mmcv-lite has none.",
            f'pip uninstall -y mmcv-lite && {line}',
        )
    if mmtrack and from_on(mmcv, '2.0.0'):
        yield f'mmtrack {mmtrack} wants mmcv < 2.0.0, not {mmcv}.', line
    elif mmdet:
        bound = '2.1.0' if below(mmdet, '3.2.0') else '2.2.0'
        if from_on(mmcv, bound):
            yield f'mmdet {mmdet} wants mmcv < {bound}, not {mmcv}.', line


def _mmtrack_clashes(versions: Versions):
    mmtrack, mmdet = versions.get('mmtrack'), versions.get('mmdet')
    if not mmtrack:
        return
    if not below(mmdet, '3.0.0rc6'):
        yield (
            f'mmtrack {mmtrack} goes with mmdet 3.0.0rc5; found: {mmdet}.',
            f'pip install "mmdet==3.0.0rc5" {numpy_range(versions)}',
        )
    if not (versions.get('mmcls') and versions.get('modelindex')):
        yield (
            f'mmtrack {mmtrack} imports mmcls, and that one modelindex.',
            'pip install modelindex && '
            'pip install --no-deps "mmcls==1.0.0rc6"',
        )


def _mmdet_clashes(versions: Versions):
    mmdet, numpy = versions.get('mmdet'), versions.get('numpy')
    setuptools = versions.get('setuptools')
    if below(mmdet, '3.0.0') and from_on(numpy, '1.24'):
        yield (
            f'mmdet {mmdet} uses np.bool, which numpy {numpy} does not have.',
            f'pip install "numpy==1.23.5" {OPENCV_PIN}',
        )
    if mmdet and not below(setuptools, '82'):
        yield (
            'configs with `_base_ = "mmdet::..."` need pkg_resources, which '
            f'setuptools dropped in 82; found: {setuptools}.',
            'pip install "setuptools<70"',
        )
