"""Install mmcv with its operators, which are compiled for the torch at hand.

Only mmcv's sources are published, and pip keeps wheels that were built
without torch in sight, so without operators, or for another torch. So
operators are called before a wheel is believed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from steps import SetupError, Steps, environment

_OPERATORS = (
    'import torch\n'
    'from mmcv.ops import nms\n'
    'boxes = torch.tensor([[0, 0, 10, 10.], [1, 1, 10, 10], [20, 20, 30, 30]])'
    '\n'
    'assert nms(boxes, torch.tensor([.9, .8, .7]), .5)[1].tolist() == [0, 2]'
)
_TORCH = (
    'import sys, torch\n'
    'print(torch.__version__, torch.version.cuda, torch.cuda.is_available(), '
    '"cp%d%d" % sys.version_info[:2])'
)


def ask(python: Path, code: str) -> subprocess.CompletedProcess:
    """Run code in the environment."""
    command = [str(python), '-c', code]
    env = environment(python)
    return subprocess.run(command, capture_output=True, text=True, env=env)


def install_mmcv(steps: Steps, python: Path, version: str, kept: Path) -> None:
    """Install mmcv with operators, from a kept wheel or by a build.

    The second try builds whatever pip kept.

    Args:
        steps: Runs and shows the steps.
        python: The environment's interpreter; torch is there already.
        version: mmcv's version.
        kept: Gets a folder per torch, Python and device.

    Raises:
        SetupError: The build failed, or its operators do not work.
    """
    asked = ask(python, _TORCH)
    if asked.returncode:
        raise SetupError(f'torch cannot be imported:\n{asked.stderr}')
    torch, cuda, sees_gpu, abi = asked.stdout.split()
    env, target = build_environment(python, cuda, sees_gpu == 'True')
    folder = kept / f'mmcv-{version}-torch-{torch}-{abi}-{target}'
    pip = [python, '-m', 'pip', 'install', '--no-deps', '--force-reinstall']
    for cache in ([], ['--no-cache-dir']):
        wheel = next(folder.glob('mmcv-*.whl'), None)
        if wheel is None:
            steps.say(f'mmcv {version} is built with operators for {target}')
            wheel = _build(steps, f'mmcv=={version}', folder, env, cache)
        steps.run('installing mmcv', [*pip, wheel], environment(python))
        tried = ask(python, _OPERATORS)
        if not tried.returncode:
            steps.say(f'mmcv {version}: operators work')
            return
        wheel.unlink()
        steps.say('this wheel of mmcv has no working operators')
    raise SetupError(
        f'mmcv {version} was built, but its operators do not work:\n'
        + tried.stderr
    )


def build_environment(
    python: Path, cuda: str, sees_gpu: bool
) -> tuple[dict[str, str], str]:
    """Make the variables for mmcv's build, and name what it builds for.

    Args:
        python: The environment's interpreter.
        cuda: The CUDA version of torch, such as ``'11.7'``, or ``'None'``.
        sees_gpu: Whether torch sees a GPU.

    Returns:
        tuple: The variables, and ``'cpu'`` or ``'cuda'``.
    """
    env = environment(python)
    env['MMCV_WITH_OPS'] = '1'
    env.setdefault('MAX_JOBS', str(len(os.sched_getaffinity(0))))
    forced = env.get('FORCE_CUDA', '0') == '1'
    if forced or (sees_gpu and toolkit_version() == cuda.split('.')[0]):
        return env, 'cuda'
    # mmcv asks torch for a GPU and then needs the toolkit; without a fitting
    # one, operators for the CPU are better than no mmcv.
    env['CUDA_VISIBLE_DEVICES'] = ''
    return env, 'cpu'


def toolkit_version() -> str:
    """Read the CUDA toolkit's major version; empty where there is none."""
    home = os.environ.get('CUDA_HOME', '/usr/local/cuda')
    nvcc = shutil.which('nvcc') or shutil.which(f'{home}/bin/nvcc')
    if not nvcc:
        return ''
    said = subprocess.run([nvcc, '--version'], capture_output=True, text=True)
    found = re.search(r'release (\d+)\.', said.stdout)
    return found[1] if found else ''


def _build(
    steps: Steps, what: str, folder: Path, env: dict[str, str], cache: list
) -> Path:
    """Have pip make a wheel for a folder, or give the one that it kept."""
    scratch = folder.with_name(folder.name + '.tmp')
    shutil.rmtree(scratch, ignore_errors=True)
    python = Path(env['VIRTUAL_ENV'], 'bin/python')
    command = [python, '-m', 'pip', 'wheel', '--verbose', '--no-deps', *cache]
    command += ['--no-build-isolation', '--wheel-dir', scratch, what]
    steps.say(
        'compiling, unless pip kept it: about ten minutes on two cores '
        f'(MAX_JOBS={env["MAX_JOBS"]})'
    )
    try:
        steps.run('building mmcv', command, env)
    except SetupError as error:
        raise SetupError(f'{error}{_missing_for_a_build(python)}') from None
    folder.mkdir(parents=True, exist_ok=True)
    built = next(scratch.glob('mmcv-*.whl'))
    wheel = built.replace(folder / built.name)
    shutil.rmtree(scratch)
    return wheel


def _missing_for_a_build(python: Path) -> str:
    """Name what the machine lacks for a build."""
    hints = ''
    if not any(map(shutil.which, ('c++', 'g++', 'clang++'))):
        hints += '\nNo C++ compiler is on the PATH: apt install g++'
    code = 'import sysconfig; print(sysconfig.get_paths()["include"])'
    headers = Path(ask(python, code).stdout.strip())
    if not (headers / 'Python.h').is_file():
        hints += f'\nNo Python.h: apt install {headers.name}-dev'
    return hints
