"""From versions and findings to problems: the doctor's pure part."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Iterable, List, Mapping, Optional, Tuple

from env_probes import PROBES, Finding

from hvc_mm.utils.dependencies import Problem, diagnose
from hvc_mm.utils.version_rules import (
    Versions,
    below,
    mmcv_line,
    pair_line,
)


def likely_column(versions: Versions) -> str:
    """The tested column that an environment is closest to."""
    if versions.get('mmtrack') or below(versions.get('mmcv'), '2.0.0'):
        return 'a'
    return 'b' if versions.get('mmcv') else 'minimal'


def has_code_for(capability: Tuple[int, int], built_for: List[str]) -> bool:
    """Whether a torch can compute on a GPU.

    Args:
        capability: The GPU's, such as ``(9, 0)``.
        built_for: What torch was compiled for, such as ``['sm_86',
            'compute_90']``. Machine code (``sm``) runs on later minor
            versions of its major one, or with a letter at its end on none but
            its own; intermediate code (``compute``) on all later ones.
    """
    for name in built_for:
        found = re.match(r'(sm|compute)_(\d+)(\d)([a-z]?)$', name)
        if not found:
            continue
        built = int(found[2]), int(found[3])
        if found[4]:
            good = built == capability
        elif found[1] == 'sm':
            good = built[0] == capability[0] and built[1] <= capability[1]
        else:
            good = built <= capability
        if good:
            return True
    return False


def doubled_metadata(names: Iterable[Tuple[str, str]]) -> List[str]:
    """Distributions that one folder holds more than once.

    Args:
        names: Pairs of folder and distribution name.
    """
    same = Counter(
        (folder, re.sub(r'[-_.]+', '-', name).lower())
        for folder, name in names
    )
    return sorted({name for (_, name), count in same.items() if count > 1})


def judge(
    versions: Versions,
    findings: Mapping[str, Finding],
    doubled: List[str],
    driver: Optional[str],
) -> List[Problem]:
    """Everything that is wrong, each once, with the command that mends it.

    Args:
        versions: Version strings by distribution name.
        findings: What came of the probes, by name; those not tried are
            absent.
        doubled: Distributions with two copies of metadata.
        driver: The first GPU that the system's driver names, or None.

    Returns:
        The problems, those told by the versions first.
    """
    problems = diagnose(versions)
    told = ' '.join(problem.what for problem in problems)
    repairs = {
        'pair': _reinstalled(pair_line(versions), 'torch torchvision'),
        'opencv': 'pip uninstall -y opencv-python && pip install '
        '"opencv-python-headless==4.10.0.84"',
        'operators': _reinstalled(mmcv_line(versions), 'mmcv').replace(
            'pip install --no-build', 'pip install --no-cache-dir --no-build'
        ),
        'mmdet': f'pip install "mmdet=={_mmdet_for(versions)}"',
        'mmtrack': 'make env COLUMN=a',
    }
    for name, mend in repairs.items():
        finding = findings.get(name)
        # A cause that the versions tell already needs no second command.
        if finding and not finding.works and not _explained(name, told):
            fatal = name in ('pair', 'opencv')
            what = f'{PROBES[name].title}: {finding.said}'
            problems.append(Problem(what, mend, fatal))
    for name in doubled:
        problems.append(
            Problem(
                f'{name} left two copies of its metadata.',
                f'pip uninstall -y {name}; pip uninstall -y {name}; '
                f'pip install {name}',
                fatal=False,
            )
        )
    return problems + _gpu_problems(versions, findings.get('gpu'), driver)


def _explained(probe: str, told: str) -> bool:
    words = dict(
        pair=('torch', 'numpy'),
        operators=('mmcv', 'torch'),
        mmdet=('mmcv', 'mmdet', 'torch', 'operators'),
        mmtrack=('mmcv', 'mmtrack', 'mmdet', 'torch', 'operators'),
    )
    return any(word in told for word in words.get(probe, ()))


def _reinstalled(line: str, names: str) -> str:
    return f'pip uninstall -y {names} && {line}'


def _mmdet_for(versions: Versions) -> str:
    return '3.0.0rc5' if below(versions.get('mmcv'), '2.0.0') else '3.3.0'


def _gpu_problems(
    versions: Versions, finding: Optional[Finding], driver: Optional[str]
) -> List[Problem]:
    if finding is None or not finding.works:
        return []
    gpu = json.loads(finding.said)
    newer = 'make env COLUMN=b'
    if driver and not gpu['devices']:
        built = f'for CUDA {gpu["cuda"]}' if gpu['cuda'] else 'without CUDA'
        torch = versions.get('torch')
        what = (
            f'{driver} is there, but torch {torch}, built {built}, does not '
            'see it (a driver too old for it, CUDA_VISIBLE_DEVICES?).'
        )
        mend = 'unset CUDA_VISIBLE_DEVICES; nvidia-smi'
        if not gpu['cuda']:
            mend = _reinstalled(
                pair_line(versions).replace('"torch==', '"torch==='),
                'torch torchvision',
            )
        return [Problem(what, mend, fatal=False)]
    return [
        Problem(
            f'torch {versions.get("torch")} has no code for {name} '
            f'(compute capability {major}.{minor}).',
            newer,
            fatal=False,
        )
        for name, (major, minor) in gpu['devices']
        if not has_code_for((major, minor), gpu['code'])
    ]
