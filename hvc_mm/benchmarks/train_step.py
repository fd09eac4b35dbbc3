"""One training step of HVC: lean against the plain form of the release.

Lean is bf16 autocast, channels-last memory and the loss on the pair list;
plain is fp32, torch's default memory format and dense matrices. Both read
8-bit images, update the target and step Adam.
"""

from __future__ import annotations

import argparse
from typing import Callable, Dict, List

import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from torch import nn

from hvc_mm.engine.optim_wrappers import BF16OptimWrapper
from hvc_mm.registry import MODELS
from hvc_mm.structures import PairedViewSample

from .loss import DenseLoss, coco_like_boxes
from .measure import best_times, peak_memory
from .report import Mark, Report, ratio

# What the recipe's 256x256 views at N=8 must gain, and on a GPU at N=128.
_CPU_GAIN, _GPU_GAIN, _GPU_PEAK_GB = 2.3, 2.0, 11.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``benchmark.py train_step`` beside the common ones."""
    parser.add_argument(
        '--samples',
        type=int,
        help='batch size (default: 8, quick 4; on a GPU 128)',
    )
    parser.add_argument('--size', type=int, default=256, help='view, pixels')
    parser.add_argument(
        '--threads', type=int, default=2, help="of a CPU's; not of a GPU"
    )
    parser.add_argument('--seed', type=int, default=0)


def run(args: argparse.Namespace) -> Report:
    """Measure both steps on the same images, from the same weights."""
    on_gpu = torch.device(args.device).type == 'cuda'
    usual = 128 if on_gpu else 4 if args.quick else 8
    samples = args.samples or usual
    report = Report(f'training step, N={samples}, {args.size}x{args.size}')
    threads = torch.get_num_threads()
    torch.set_num_threads(threads if on_gpu else args.threads)
    try:
        steps, losses = build_steps(samples, args.size, args.device, args.seed)
        memory = {
            name: peak_memory(step, args.device)
            for name, step in steps.items()
        }
        seconds = best_times(steps, args.repeats, args.device, warm_up=on_gpu)
    finally:
        torch.set_num_threads(threads)
    gain = ratio(seconds['plain'], seconds['lean'])
    report.rows = [
        {
            'what': name,
            's': seconds[name],
            'images/s': samples / seconds[name],
            'MB': memory[name],
            'first loss': losses[name][0],
        }
        for name in steps
    ]
    report.notes.append(
        'wall time'
        if on_gpu
        else f'process time of {args.threads} thread(s) together'
    )
    report.marks = [
        Mark('training step', gain, _GPU_GAIN if on_gpu else _CPU_GAIN)
    ]
    if on_gpu and samples == 128:
        report.marks.append(
            Mark('its peak GB', memory['lean'] / 1024, _GPU_PEAK_GB, True)
        )
    return report


def build_steps(samples: int, size: int, device: str, seed: int) -> tuple:
    """Both forms of the step, each a function without arguments.

    Returns:
        tuple: Functions by name (``plain``, ``lean``), and by name the list
        to which each call appends its loss.
    """
    torch.manual_seed(seed)
    boxes = [box.numpy() for box in coco_like_boxes(samples)]
    data = {
        'inputs': [
            torch.randint(256, (samples, 3, size, size), dtype=torch.uint8)
            for _ in range(2)
        ],
        'data_samples': [
            PairedViewSample(metainfo={'box1': one, 'box2': other})
            for one, other in zip(*boxes)
        ],
    }
    steps: Dict[str, Callable[[], None]] = {}
    losses: Dict[str, List[float]] = {}
    for name, build in (('plain', _plain_step), ('lean', _lean_step)):
        torch.manual_seed(seed)
        losses[name] = []
        steps[name] = _step(*build(device), data, losses[name])
    return steps, losses


def _step(
    model: nn.Module, wrapper: OptimWrapper, data: dict, losses: list
) -> Callable[[], None]:
    def step() -> None:
        losses.append(float(model.train_step(data, wrapper)['loss']))

    return step


def _plain_step(device: str) -> tuple:
    model = _model(channels_last=False)
    model.loss_module = DenseLoss(model.loss_module.pos_radius)
    model.to(device)
    return model, OptimWrapper(_adam(model))


def _lean_step(device: str) -> tuple:
    model = _model(channels_last=True)
    model.to(device, memory_format=torch.channels_last)
    return model, BF16OptimWrapper(_adam(model))


def _model(channels_last: bool) -> nn.Module:
    """HVC of ``configs/hvc_coco.py``, freshly initialised."""
    # Imported late: with the configs it is needed here alone.
    from hvc_mm.apis.find_config import find_config

    config = Config.fromfile(
        find_config('hvc_coco'), import_custom_modules=False
    ).model
    config.data_preprocessor.channels_last = channels_last
    config.target.total_steps = 1000
    return MODELS.build(config).train()


def _adam(model: nn.Module) -> torch.optim.Optimizer:
    trained = [one for one in model.parameters() if one.requires_grad]
    return torch.optim.Adam(trained, lr=1e-3)
