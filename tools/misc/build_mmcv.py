"""Get mmcv with its operators into an environment, built where need be.

Only mmcv's sources are published, and three things go wrong silently: without
torch in sight of the build there are no operators, a wheel that pip kept may
have been built that way or for another torch, and on a machine with a GPU but
without its toolkit the build stops. So the operators are called before
anything is believed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Dict

from step_runner import StepError, StepRunner

_CALL_OPERATOR = (
    'import torch\n'
    'from mmcv.ops import nms\n'
    'boxes = torch.tensor([[0, 0, 10, 10.], [1, 1, 10, 10], [20, 20, 30, 30]])'
    '\n'
    'assert nms(boxes, torch.tensor([.9, .8, .7]), .5)[1].tolist() == [0, 2]'
)
_DESCRIBE = (
    'import sys, torch\n'
    'print(torch.__version__, torch.version.cuda, torch.cuda.is_available(), '
    '"cp%d%d" % sys.version_info[:2])'
)


def operators_work(python: Path) -> bool:
    """Whether ``mmcv.ops`` imports and computes in this environment."""
    return _run(python, _CALL_OPERATOR).returncode == 0


def install_mmcv(
    runner: StepRunner, python: Path, version: str, kept: Path
) -> None:
    """Install mmcv with operators.

    Tried in turn until the operators work: a wheel built here before, the
    wheel that pip kept, a new build.

    Args:
        runner: Runs and shows the steps.
        python: The environment's interpreter; torch and the build tools are
            there already.
        version: mmcv's version.
        kept: Folder for built wheels, one subfolder per torch and Python.

    Raises:
        StepError: The build failed.
        RuntimeError: mmcv was built and its operators do not work.
    """
    runner.say('asking torch what it was built for')
    described = _run(python, _DESCRIBE)
    if described.returncode:
        raise RuntimeError(f'torch cannot be imported:\n{described.stderr}')
    torch, cuda, sees_gpu, abi = described.stdout.split()
    env, target = build_environment(python, cuda, sees_gpu == 'True')
    folder = kept / f'mmcv-{version}-torch-{torch}-{abi}-{target}'
    runner.say(
        f'mmcv {version} with operators for {target}. Unless a wheel was kept '
        f'it is compiled now: about ten minutes on two cores '
        f'(MAX_JOBS={env["MAX_JOBS"]})'
    )
    for fresh in (False, True):
        wheel = next(iter(sorted(folder.glob('mmcv-*.whl'))), None)
        if wheel is None or fresh:
            wheel = _build(runner, python, version, folder, env, fresh)
        if _has_operators(wheel):
            _install(runner, python, wheel)
            if operators_work(python):
                runner.say(f'mmcv {version}: operators work')
                return
        wheel.unlink()
        if not fresh:
            runner.say('the kept wheel of mmcv has no working operators')
    raise RuntimeError(
        f'mmcv {version} was built, but its operators do not work:\n'
        + _run(python, _CALL_OPERATOR).stderr
    )


def build_environment(python: Path, cuda: str, sees_gpu: bool):
    """Environment variables for the build, and for what it builds.

    Args:
        python: The environment's interpreter.
        cuda: The CUDA version of torch, such as ``'11.7'``, or ``'None'``.
        sees_gpu: Whether torch sees a GPU.

    Returns:
        A tuple ``(env, target)``, target being ``'cpu'`` or ``'cuda'``.
    """
    env = environment(python)
    env['MMCV_WITH_OPS'] = '1'
    env.setdefault('MAX_JOBS', str(_cores()))
    forced = env.get('FORCE_CUDA', '0') == '1'
    if forced or (sees_gpu and _toolkit_version() == cuda.split('.')[0]):
        return env, 'cuda'
    # mmcv asks torch for a GPU and then needs the toolkit; without a fitting
    # one, operators for the CPU are better than no mmcv.
    env['CUDA_VISIBLE_DEVICES'] = ''
    return env, 'cpu'


def environment(python: Path) -> Dict[str, str]:
    """This process's variables, made those of an activated environment."""
    env = dict(os.environ)
    for name in ('PYTHONPATH', 'PYTHONHOME', 'MAKEFLAGS', 'MFLAGS'):
        env.pop(name, None)
    env['VIRTUAL_ENV'] = str(python.parents[1])
    env['PATH'] = f'{python.parent}{os.pathsep}{env.get("PATH", "")}'
    env['PIP_DISABLE_PIP_VERSION_CHECK'] = '1'
    env['PIP_NO_INPUT'] = '1'
    env['PYTHONUNBUFFERED'] = '1'
    return env


def _cores() -> int:
    """Cores this process may use, fewer than the machine's in a container."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _toolkit_version() -> str:
    """The major version of the CUDA toolkit, empty where there is none."""
    home = os.environ.get('CUDA_HOME', '/usr/local/cuda')
    nvcc = shutil.which('nvcc') or shutil.which(f'{home}/bin/nvcc')
    if not nvcc:
        return ''
    said = subprocess.run([nvcc, '--version'], capture_output=True, text=True)
    found = re.search(r'release (\d+)\.', said.stdout)
    return found[1] if found else ''


def _run(python: Path, code: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(python), '-c', code],
        capture_output=True,
        text=True,
        env=environment(python),
        stdin=subprocess.DEVNULL,
    )


def _has_operators(wheel: Path) -> bool:
    with zipfile.ZipFile(wheel) as archive:
        return any(name.startswith('mmcv/_ext') for name in archive.namelist())


def _build(runner, python, version, folder, env, fresh) -> Path:
    """Have pip make the wheel, or hand out the one it kept."""
    scratch = folder.with_name(folder.name + '.tmp')
    shutil.rmtree(scratch, ignore_errors=True)
    command = [python, '-m', 'pip', 'wheel', '--verbose', '--no-deps']
    command += ['--no-build-isolation', '--wheel-dir', scratch]
    command += ['--no-cache-dir'] if fresh else []
    try:
        runner.run('building mmcv', [*command, f'mmcv=={version}'], env=env)
    except StepError as error:
        hint = _missing_for_a_build(python)
        if hint:
            raise RuntimeError(f'{error}\n{hint}') from None
        raise
    folder.mkdir(parents=True, exist_ok=True)
    built = next(scratch.glob('mmcv-*.whl'))
    wheel = built.replace(folder / built.name)
    shutil.rmtree(scratch)
    return wheel


def _install(runner, python, wheel) -> None:
    command = [python, '-m', 'pip', 'install', '--no-deps']
    command += ['--force-reinstall', wheel]
    runner.run('installing mmcv', command, env=environment(python))


def _missing_for_a_build(python: Path) -> str:
    """What the machine lacks for a build, as a sentence, or nothing."""
    hints = []
    if not any(shutil.which(name) for name in ('c++', 'g++', 'clang++')):
        hints.append('No C++ compiler is on the PATH: apt install g++')
    code = 'import sysconfig; print(sysconfig.get_paths()["include"])'
    headers = Path(_run(python, code).stdout.strip())
    if not (headers / 'Python.h').is_file():
        hints.append(
            f'{headers} has no Python.h: apt install {headers.name}-dev'
        )
    return '\n'.join(hints)
