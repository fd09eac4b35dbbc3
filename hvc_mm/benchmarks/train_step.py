"""One training step of HVC: lean against the plain form of the release.

Lean is bf16 autocast (fp32 on a CPU where that is faster), channels-last
memory and the loss on the pair list; plain is fp32, torch's default memory
format and dense matrices. Both read 8-bit images, update the target and step
Adam.
"""

from __future__ import annotations

import argparse
import contextlib
from itertools import chain
from typing import Dict, Iterator, List, Optional

import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from hvc_mm.engine.optim_wrappers import BF16OptimWrapper
from hvc_mm.registry import MODELS
from hvc_mm.structures import PairedViewSample

from .loss import DenseLoss, coco_like_boxes
from .measure import peaks_and_times
from .report import Mark, Report, ratio

# What the recipe's 256x256 views at N=8 must gain, and on a GPU at N=128.
_CPU_GAIN, _GPU_GAIN, _GPU_PEAK_GB = 2.3, 2.0, 11.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``benchmark.py train_step`` beside the common ones."""
    parser.add_argument(
        '--samples',
        type=int,
        help='batch size (default: 8, quick 2; on a GPU 128)',
    )
    parser.add_argument('--size', type=int, default=256, help='view, pixels')
    parser.add_argument(
        '--threads', type=int, default=2, help="of a CPU's; not of a GPU"
    )
    parser.add_argument('--seed', type=int, default=0)


def run(args: argparse.Namespace) -> Report:
    """Measure both steps on the same images, from the same weights."""
    on_gpu = torch.device(args.device).type == 'cuda'
    usual = 128 if on_gpu else 2 if args.quick else 8
    samples = args.samples or usual
    report = Report(f'training step, N={samples}, {args.size}x{args.size}')
    with _settings(None if on_gpu else args.threads):
        steps = build_steps(samples, args.size, args.device, args.seed)
        for step in steps.values() if on_gpu else ():
            step()  # cuDNN tries its algorithms, the optimiser its state
        memory, seconds = peaks_and_times(steps, args.repeats, args.device)
    for name, step in steps.items():
        row = {
            'what': name,
            's': seconds[name],
            'images/s': samples / seconds[name],
            'MB': memory[name],
            'first loss': step.losses[0],
        }
        report.rows.append(row)
    report.notes.append(
        'wall time; TF32 in convolutions of the plain form: '
        f'{torch.backends.cudnn.allow_tf32}'
        if on_gpu
        else f'process time of {args.threads} thread(s) together'
    )
    gain = ratio(seconds['plain'], seconds['lean'])
    if on_gpu:
        judged = (samples, args.size) == (128, 256)
        # Beside what a step takes: weights and the optimiser's state.
        peak = (memory['lean'] * 2**20 + steps['lean'].held()) / 1e9
        report.marks = [
            Mark('training step', gain, _GPU_GAIN if judged else None),
            Mark(
                *('its peak', peak, _GPU_PEAK_GB if judged else None, True),
                form='{:.2f} GB',
            ),
        ]
    else:
        judged = (samples, args.size, args.threads) == (8, 256, 2)
        if not steps['lean'].wrapper.enabled:
            judged = False
            report.notes.append(
                'lean is fp32: this CPU has no bfloat16 units, without which '
                f'the mark of x{_CPU_GAIN} does not hold'
            )
        report.marks = [
            Mark('training step', gain, _CPU_GAIN if judged else None)
        ]
    return report


class TrainingStep:
    """One step after the other on the same batch, losses kept.

    Args:
        model: In training.
        wrapper: Of its optimiser.
        data: What a data loader gives.
    """

    def __init__(
        self, model: nn.Module, wrapper: OptimWrapper, data: dict
    ) -> None:
        self.model = model
        self.wrapper = wrapper
        self.data = data
        self.losses: List[float] = []

    def __call__(self) -> None:
        """Take a step; reading the loss waits for a GPU."""
        logged = self.model.train_step(self.data, self.wrapper)
        self.losses.append(float(logged['loss']))

    def held(self) -> int:
        """Bytes of weights, buffers and the optimiser's state."""
        state = self.wrapper.optimizer.state.values()
        moments = (m for entry in state for m in entry.values())
        tensors = chain(
            self.model.parameters(),
            self.model.buffers(),
            (m for m in moments if isinstance(m, Tensor)),
        )
        return sum(t.numel() * t.element_size() for t in tensors)


def build_steps(
    samples: int, size: int, device: str, seed: int
) -> Dict[str, TrainingStep]:
    """Both forms of the step by name, ``plain`` and ``lean``."""
    torch.manual_seed(seed)
    boxes = [box.numpy() for box in coco_like_boxes(samples)]
    views = [
        torch.randint(256, (samples, 3, size, size), dtype=torch.uint8)
        for _ in range(2)
    ]
    if torch.device(device).type == 'cuda':
        views = [view.pin_memory() for view in views]  # as the loader does
    data = {
        'inputs': views,
        'data_samples': [
            PairedViewSample(metainfo={'box1': one, 'box2': other})
            for one, other in zip(*boxes)
        ],
    }
    steps = {}
    for name, build in (('plain', _plain_step), ('lean', _lean_step)):
        torch.manual_seed(seed)
        steps[name] = TrainingStep(*build(device), data)
    return steps


@contextlib.contextmanager
def _settings(number: Optional[int]) -> Iterator[None]:
    """Run the body on so many threads, and with the configs' cuDNN."""
    threads, tried = torch.get_num_threads(), torch.backends.cudnn.benchmark
    torch.set_num_threads(number or threads)
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.backends.cudnn.benchmark = tried


def _plain_step(device: str) -> tuple:
    model = _model(channels_last=False)
    model.loss_module = DenseLoss(model.loss_module.pos_radius)
    model.to(device)
    return model, OptimWrapper(_adam(model))


def _lean_step(device: str) -> tuple:
    model = _model(channels_last=True)
    model.to(device)
    return model, BF16OptimWrapper(_adam(model), only_if_faster=True)


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
