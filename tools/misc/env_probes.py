"""What can only be told by trying: probes, run in processes of their own.

A library that was built for another torch may well end the process that loads
it, so the one that asks does not load it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import NamedTuple, Optional, Tuple


class Probe(NamedTuple):
    """Something to try in a process of its own.

    Attributes:
        title: What is tried, for the table.
        code: Python code; what it prints last is the finding.
        needs: Distributions without which there is nothing to try.
    """

    title: str
    code: str
    needs: Tuple[str, ...]


class Finding(NamedTuple):
    """What came of a probe: its last line of output, or of its error."""

    works: bool
    said: str


PROBES = {
    'pair': Probe(
        'torch and torchvision together',
        'import torch, torchvision\n'
        'boxes = torch.tensor([[0, 0, 9, 9.], [0, 0, 9, 8.]])\n'
        'kept = torchvision.ops.nms(boxes, torch.tensor([.9, .8]), .5)\n'
        'assert kept.tolist() == [0]\n'
        'torch.from_numpy(__import__("numpy").zeros(1))\n'
        'print("torchvision.ops.nms ran")',
        ('torch', 'torchvision'),
    ),
    'gpu': Probe(
        'GPU',
        'import json, torch\n'
        'seen = torch.cuda.is_available()\n'
        'print(json.dumps(dict(cuda=torch.version.cuda, devices=[\n'
        '    (torch.cuda.get_device_name(i),\n'
        '     torch.cuda.get_device_capability(i))\n'
        '    for i in range(torch.cuda.device_count() if seen else 0)],\n'
        '    code=torch.cuda.get_arch_list())))',
        ('torch',),
    ),
    'opencv': Probe(
        'opencv',
        'import cv2; print(cv2.__version__)',
        ('opencv-python',),
    ),
    'operators': Probe(
        "mmcv's operators",
        'import torch\n'
        'from mmcv.ops import get_compiling_cuda_version as cuda, nms\n'
        'boxes = torch.tensor([[0, 0, 9, 9.], [0, 0, 9, 8.]])\n'
        'kept = nms(boxes, torch.tensor([.9, .8]), .5)[1]\n'
        'assert kept.tolist() == [0]\n'
        'print("mmcv.ops.nms ran; compiled for CUDA:", cuda())',
        ('mmcv',),
    ),
    'mmdet': Probe(
        'mmdet',
        'import mmdet.apis; print("mmdet.apis imports")',
        ('mmdet',),
    ),
    'mmtrack': Probe(
        'mmtrack',
        'from mmtrack.utils import register_all_modules as register\n'
        'register(); print("mmtrack registers its modules")',
        ('mmtrack',),
    ),
}


def examine(probe: Probe) -> Finding:
    """Run a probe in a process of its own."""
    env = {**os.environ, 'PYTHONWARNINGS': 'ignore'}
    try:
        run = subprocess.run(
            [sys.executable, '-c', probe.code],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=300,
            env=env,
        )
    except subprocess.TimeoutExpired:
        return Finding(False, 'no answer within five minutes')
    text = run.stdout if run.returncode == 0 else run.stderr
    lines = [line for line in text.splitlines() if line.strip()]
    last = lines[-1].strip() if lines else f'exit status {run.returncode}'
    return Finding(run.returncode == 0, last)


def driver_names() -> Optional[str]:
    """The first GPU that the driver's own tool lists, or None."""
    command = ['nvidia-smi', '--query-gpu=name', '--format=csv,noheader']
    try:
        run = subprocess.run(
            command, capture_output=True, text=True, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = run.stdout.split('\n')
    return lines[0].strip() or None if run.returncode == 0 else None


def describe(name: str, finding: Finding) -> str:
    """A finding as one cell of the table."""
    if name != 'gpu' or not finding.works:
        return finding.said
    gpu = json.loads(finding.said)
    names = ', '.join(device for device, _ in gpu['devices'])
    built = f'torch built for CUDA {gpu["cuda"]}'
    if not gpu['cuda']:
        built = 'torch built without CUDA'
    return f'{names or "none seen"}; {built}'
