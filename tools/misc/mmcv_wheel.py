"""Install mmcv with its operators, which are compiled for the torch at hand.

OpenMMLab publishes wheels with operators for some pairs of torch and CUDA, on
its own site; everywhere else there are only mmcv's sources. pip also keeps
wheels that were built without torch in sight, so without operators, or for
another torch. So operators are called before a wheel is believed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from steps import SetupError, Steps, environment

# Where mim looks first; it reads the same variable.
SITE = 'https://download.openmmlab.com'
SITE_VARIABLE = 'MMCV_FIND_BASE_URL'
# Seconds without an answer, after which the site is left alone.
PATIENCE = 5
# With a device in the place of {}.
_OPERATORS = (
    'import torch\n'
    'from mmcv.ops import nms, roi_align\n'
    'boxes = torch.tensor(\n'
    '    [[0, 0, 10, 10.], [1, 1, 10, 10], [20, 20, 30, 30]], device="{0}")\n'
    'scores = torch.tensor([.9, .8, .7], device="{0}")\n'
    'assert nms(boxes, scores, .5)[1].tolist() == [0, 2]\n'
    'image = torch.ones((1, 1, 8, 8), device="{0}")\n'
    'box = torch.tensor([[0, 1., 1, 5, 5]], device="{0}")\n'
    'assert roi_align(image, box, 2).tolist() == [[[[1, 1], [1, 1]]]]'
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
    """Install mmcv with operators: a kept wheel, a published one, or a build.

    A second build passes by what pip kept.

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
    old = next(folder.glob('mmcv-*.whl'), None)
    if old and not _error_of(steps, python, old):
        return
    what = f'mmcv=={version}'
    links = find_links(torch, cuda)
    published = _take_published(steps, python, what, links, folder)
    # One for this GPU, too: it may be newer than the wheel.
    devices = ('cpu', 'cuda') if sees_gpu == 'True' else ('cpu',)
    if published and not _error_of(steps, python, published, devices):
        return
    for cache in ([], ['--no-cache-dir'])[bool(old) :]:
        steps.say(f'mmcv {version} is built with operators for {target}')
        wheel = _build(steps, what, folder, env, cache)
        error = _error_of(steps, python, wheel)
        if not error:
            return
    raise SetupError(
        f'mmcv {version} was built, but its operators do not work:\n{error}'
    )


def _error_of(
    steps: Steps, python: Path, wheel: Path, devices: tuple = ('cpu',)
) -> str:
    """Install a wheel; say how its operators fail, then it is removed."""
    pip = [python, '-m', 'pip', 'install', '--no-deps', '--force-reinstall']
    steps.run('installing mmcv', [*pip, wheel], environment(python))
    for device in devices:
        tried = ask(python, _OPERATORS.format(device))
        if tried.returncode:
            wheel.unlink()
            steps.say(f'{wheel.name}: no working operators on {device}')
            return tried.stderr
    steps.say(f'{wheel.name}: operators work')
    return ''


def find_links(torch: str, cuda: str) -> str:
    """Give the page of the wheels for a torch, as mim does.

    Args:
        torch: Its version, such as ``'2.1.2+cu121'``.
        cuda: The CUDA version that it was built for, or ``'None'``.
    """
    site = os.environ.get(SITE_VARIABLE, SITE).rstrip('/')
    major, minor = torch.split('.')[:2]
    device = 'cpu' if cuda == 'None' else 'cu' + cuda.replace('.', '')
    return f'{site}/mmcv/dist/{device}/torch{major}.{minor}.0/index.html'


def _take_published(
    steps: Steps, python: Path, what: str, links: str, folder: Path
) -> Path | None:
    """Download a wheel for a folder, where one is published."""
    scratch = folder.with_name(folder.name + '.tmp')
    shutil.rmtree(scratch, ignore_errors=True)
    # Folders of wheels that pip knows by itself (PIP_FIND_LINKS) count, too.
    command = [python, '-m', 'pip', 'download', '--no-deps', '--no-index']
    command += ['--only-binary', ':all:', '--progress-bar', 'off']
    command += ['--timeout', PATIENCE, '--retries', 0, '--find-links', links]
    try:
        title = f'looking for {what} with operators at {links}'
        steps.run(title, [*command, '-d', scratch, what], environment(python))
    except SetupError:
        steps.say('there is none, or the site cannot be reached')
        return None
    folder.mkdir(parents=True, exist_ok=True)
    found = next(scratch.glob('mmcv-*.whl'))
    wheel = found.replace(folder / found.name)
    shutil.rmtree(scratch)
    return wheel


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
