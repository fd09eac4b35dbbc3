"""The doctor: what is installed, whether it works, and how to fix it.

    python tools/misc/check_env.py [--column a|b|minimal]

Exit status 1 where there is a problem. Versions are shown next to those of a
tested column; another version is no problem by itself.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
# The doctor has to run where `import hvc_mm` would refuse to, and from a
# checkout that is not installed.
os.environ['HVC_SKIP_ENV_CHECK'] = '1'
sys.path.append(str(ROOT))

from hvc_mm.utils.environment import (  # noqa: E402
    MMCV_NAMES,
    PACKAGES,
    Problem,
    Versions,
    find_problems,
    fits,
    installed_versions,
    mmcv_line,
    pair_line,
)

# What goes with what: a neighbour and its versions, then what it needs.
NEIGHBOURS = (
    ('mmtrack', '', 'mmcv', '<=2.0.0rc4', ''),
    ('mmtrack', '', 'mmdet', '==3.0.0rc5', 'pip install "mmdet==3.0.0rc5"'),
    ('mmtrack', '', 'modelindex', '', 'pip install modelindex'),
    ('mmtrack', '', 'mmcls', '', 'pip install --no-deps "mmcls==1.0.0rc6"'),
    ('mmdet', '', 'mmcv', '<2.2.0', ''),
    ('mmdet', '<3.2.0', 'mmcv', '<2.1.0', ''),
    ('mmdet', '<=3.0.0rc6', 'numpy', '<1.24', 'pip install "numpy==1.23.5"'),
    # `_base_ = 'mmdet::...'` needs pkg_resources, which 82 dropped.
    ('mmdet', '', 'setuptools', '<82', 'pip install "setuptools<70"'),
)
# Title, what has to be installed, and code that prints what came of it. Run
# in a process of its own: a library that was built for another torch may end
# the process that loads it.
_NMS = (
    'import torch, {0}\n'
    'boxes = torch.tensor([[0, 0, 9, 9.], [0, 0, 9, 8.], [20, 20, 30, 30]])\n'
    'kept = {0}.nms(boxes, torch.tensor([.9, .8, .7]), .5)\n'
    'kept = kept[1] if isinstance(kept, tuple) else kept\n'
    'assert kept.tolist() == [0, 2]\n'
    'torch.from_numpy(__import__("numpy").zeros(1))\n'
    'print("{0}.nms ran")'
)
# What each GPU says to a sum: a torch without code for it raises.
_GPU = (
    'import json, torch\n'
    'said = {}\n'
    'for i in range(torch.cuda.device_count()):\n'
    '    name = torch.cuda.get_device_name(i)\n'
    '    try:\n'
    '        said[name] = str(torch.ones(3, device=i).sum().item())\n'
    '    except RuntimeError as error:\n'
    '        said[name] = str(error).strip().splitlines()[0]\n'
    'print(json.dumps(dict(cuda=torch.version.cuda, said=said)))'
)
# The compiled kernel, or why torch does it.
_SEARCH = (
    'import torch\n'
    'from hvc_mm.models.vos.search_choice import describe_search\n'
    'print(describe_search(torch.device("cpu"), None, None))'
)
PROBES = {
    'torchvision': ('torch', _NMS.format('torchvision.ops')),
    'GPU': ('torch', _GPU),
    'opencv': ('opencv-python', 'import cv2; print(cv2.__version__)'),
    "mmcv's operators": ('mmcv', _NMS.format('mmcv.ops')),
    'mmdet': ('mmdet', 'import mmdet.apis; print("mmdet.apis imports")'),
    'mmtrack': (
        'mmtrack',
        'from mmtrack.utils import register_all_modules as register\n'
        'register(); print("mmtrack registers its modules")',
    ),
    'hvc_mm': (
        'mmengine',
        'from hvc_mm.utils import register_all_modules as register\n'
        'from mmengine.visualization import Visualizer\n'
        'register(); import hvc_mm.apis; Visualizer()\n'
        'print("hvc_mm registers its modules; a visualizer was built")',
    ),
    'the search of label propagation': ('mmengine', _SEARCH),
}


class Finding(NamedTuple):
    """What came of a probe: its last line of output, or of its error."""

    works: bool
    said: str


def examine(code: str) -> Finding:
    """Run a probe in a process of its own."""
    try:
        run = subprocess.run(
            [sys.executable, '-W', 'ignore', '-c', code],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=300,
        )
    except subprocess.TimeoutExpired:
        return Finding(False, 'no answer within five minutes')
    text = run.stderr if run.returncode else run.stdout
    last = text.strip().splitlines()[-1:] or [f'exit {run.returncode}']
    return Finding(run.returncode == 0, last[0].strip())


def describe(name: str, finding: Finding) -> str:
    """Give a finding as people read it."""
    if name != 'GPU' or not finding.works:
        return finding.said
    gpu = json.loads(finding.said)
    names = ', '.join(gpu['said']) or 'none seen'
    return f'{names}; torch built for CUDA: {gpu["cuda"]}'


def neighbour_problems(versions: Versions) -> list[Problem]:
    """Find which of mmdet and mmtrack clash with what is there."""
    problems = []
    for name, when, package, works, fix in NEIGHBOURS:
        found, owner = versions.get(package), versions.get(name)
        if package == 'mmcv' and not found:
            found = versions.get('mmcv-lite') and 'mmcv-lite, no operators'
        if owner and fits(owner, when) and not fits(found, works):
            what = f'{name} {owner} needs {package} {works}, found: {found}.'
            fix = fix or f'pip uninstall -y mmcv-lite; {mmcv_line(versions)}'
            problems.append(Problem(what, fix, fatal=False))
    return problems


def probe_problems(
    findings: dict[str, Finding], versions: Versions
) -> list[Problem]:
    """Find what fails when it is tried, with the command that fixes it."""
    old = fits(versions.get('mmcv'), '<=2.0.0rc4')
    fixes = {
        'torchvision': _torch_again(versions),
        'opencv': 'pip uninstall -y opencv-python && pip install '
        '"opencv-python-headless==4.10.0.84"',
        "mmcv's operators": 'pip uninstall -y mmcv && '
        + mmcv_line(versions).replace(' --no-b', ' --no-cache-dir --no-b'),
        'mmdet': f'pip install "mmdet=={"3.0.0rc5" if old else "3.3.0"}"',
        'mmtrack': 'make env COLUMN=a',
        'hvc_mm': f'pip install --editable {ROOT}',
    }
    return [
        Problem(f'{name}: {findings[name].said}', fix)
        for name, fix in fixes.items()
        if name in findings and not findings[name].works
    ]


def gpu_problems(
    answer: str, driver: str, versions: Versions
) -> list[Problem]:
    """Find why torch can't compute on a GPU.

    Args:
        answer: What the probe of the GPUs printed.
        driver: The GPUs that the system's driver names, or nothing.
        versions: By distribution name.
    """
    gpu = json.loads(answer)
    if driver and not gpu['said']:
        built = f'for CUDA {gpu["cuda"]}' if gpu['cuda'] else 'without CUDA'
        what = f'torch, built {built}, does not see {driver}.'
        fix = 'unset CUDA_VISIBLE_DEVICES; nvidia-smi'
        if not gpu['cuda']:
            fix = _torch_again(versions)
        return [Problem(what, fix, fatal=False)]
    newer = 'make env COLUMN=b'
    if not fits(versions.get('torch'), '<2.1'):
        newer += ' TORCH=newest'
    return [
        Problem(f'torch fails on {name}: {said}', newer, False)
        for name, said in gpu['said'].items()
        if said != '3.0'
    ]


def _torch_again(versions: Versions) -> str:
    # `===` keeps pip from taking the build with a suffix again.
    pair = pair_line(versions).replace('"torch==', '"torch===')
    return f'pip uninstall -y torch torchvision && {pair}'


def driver_names() -> str:
    """Ask the driver's own tool for the GPUs; nothing where there is none."""
    command = ['nvidia-smi', '--query-gpu=name', '--format=csv,noheader']
    if not shutil.which(command[0]):
        return ''
    run = subprocess.run(command, capture_output=True, text=True)
    return '' if run.returncode else run.stdout.strip()


def doubled_metadata(folders: list[str]) -> list[Problem]:
    """Find packages of which one folder holds two copies of metadata."""
    problems = []
    for folder in folders:
        names = Counter(
            re.sub(r'[-_.]+', '-', found.metadata['Name'] or '').lower()
            for found in metadata.distributions(path=[folder])
        )
        for name in sorted(name for name, n in names.items() if n > 1):
            remove = f'pip uninstall -y {name}; ' * 2
            what = f'{name} left two copies of its metadata.'
            problems.append(
                Problem(what, f'{remove}pip install {name}', False)
            )
    return problems


def likely_column(versions: Versions) -> str:
    """Guess which tested column an environment is closest to."""
    if versions.get('mmtrack') or fits(versions.get('mmcv'), '<=2.0.0rc4'):
        return 'a'
    if not versions.get('mmcv'):
        return 'minimal'
    return 'b-newest' if fits(versions.get('numpy'), '>=2') else 'b'


def tested_versions(pins: Path) -> dict[str, str]:
    """Read a file of exact versions, as it is for this Python."""
    lines = pins.read_text(encoding='utf-8').splitlines()
    found = [Requirement(line) for line in lines if line[:1] not in ('', '#')]
    return {
        pin.name: next(iter(pin.specifier)).version
        for pin in found
        if pin.marker is None or pin.marker.evaluate()
    }


def print_versions(versions: Versions, column: str) -> None:
    """Print what is installed next to the tested versions."""
    name = column if column == 'minimal' else f'column_{column}'
    pins = tested_versions(ROOT / f'requirements/{name}.txt')
    print(f'Python {sys.version.split()[0]}, column {column}')
    for package in PACKAGES:
        here, tested = versions.get(package), pins.get(package)
        if here or tested:
            same = (here or '').split('+')[0] == tested
            verdict = 'as tested' if same else f'tested: {tested or "none"}'
            print(f'  {package:<14} {here or "absent":<14} {verdict}')


def print_notes(versions: Versions) -> None:
    """Print what is worth knowing and is no problem."""
    if fits(versions.get('mmdet'), '<3.1') and not versions.get('mmtrack'):
        print(
            f'  note: mmdet {versions["mmdet"]} has no tracking (3.1 and '
            'later have, and MMTracking), which the tracker needs'
        )
    for name in MMCV_NAMES:
        old = fits(versions.get(name), '<=2.2.0')
        if old and fits(versions.get('numpy'), '>=2'):
            print(
                f'  note: {name} {versions[name]} is older than numpy 2; '
                'what hvc_mm uses of it works with both'
            )


def find_all(versions: Versions) -> list[Problem]:
    """Try what is installed, printing what it says, and judge it."""
    findings = {}
    for name, (needs, code) in PROBES.items():
        if versions.get(needs):
            print(f'  trying {name}: ', end='', flush=True)
            findings[name] = examine(code)
            print(describe(name, findings[name]))
    problems = find_problems(versions) + neighbour_problems(versions)
    # What the versions explain needs no second command.
    problems = problems or probe_problems(findings, versions)
    # Each folder once: a checkout may be on the path twice.
    folders = sorted({os.path.realpath(folder) for folder in sys.path})
    problems += doubled_metadata(folders)
    if 'GPU' in findings and findings['GPU'].works:
        driver = driver_names()
        problems += gpu_problems(findings['GPU'].said, driver, versions)
    return problems


def main() -> None:
    """Run; exit with status 1 where there is a problem."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--column',
        choices=('a', 'b', 'b-newest', 'minimal'),
        help='default: the closest',
    )
    column = parser.parse_args().column
    versions = installed_versions()
    print_versions(versions, column or likely_column(versions))
    print_notes(versions)
    problems = find_all(versions)
    for number, problem in enumerate(problems, 1):
        level = 'problem' if problem.fatal else 'limited'
        print(f'{number}. {level}: {problem.what}\n   fix: {problem.fix}')
    if not problems:
        print('No problem found.')
    sys.exit(1 if problems else 0)


if __name__ == '__main__':
    main()
