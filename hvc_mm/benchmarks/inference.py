"""Seconds a frame of the whole model, windowed against dense propagation.

The backbone, the propagation and the decoding of the masks are timed, as
``configs/hvc_davis.py`` has them; reading files and scoring are not.
"""

from __future__ import annotations

import argparse
import time
from typing import List, Tuple

import torch
from mmengine.config import Config
from torch import Tensor

from hvc_mm.registry import MODELS
from hvc_mm.structures import VOSDataSample

from .measure import single_thread
from .report import Mark, Report, ratio

SIZES = ((240, 432), (480, 854))
# What each form changes of the config.
FORMS = {
    'dense': {'model.propagator.type': 'DenseLabelPropagator'},
    '': {},
    ', folded batch norm': {'model.fold_batch_norm': True},
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``benchmark.py inference`` beside the common ones."""
    parser.add_argument(
        '--frames', type=int, help='timed frames (default: 8; quick: 3)'
    )


def run(args: argparse.Namespace) -> Report:
    """Time all forms on the same frames and compare their masks."""
    count = args.frames or (3 if args.quick else 8)
    report = Report(f'inference of hvc_davis, {count} frames, one object')
    for size in SIZES[:1] if args.quick else SIZES:
        frames, samples = _video(size, count + 1)
        figures = {}
        with single_thread(args.device):
            for form, changes in FORMS.items():
                model = _model(changes).to(args.device)
                figures[form] = _time(model, frames, samples, args.device)
        dense, dense_ids = figures.pop('dense')
        for form, (seconds, ids) in figures.items():
            what = f'{size[0]}x{size[1]}{form}'
            row = {
                'what': what,
                'dense s a frame': dense,
                'ours s a frame': seconds,
                'time ratio': ratio(dense, seconds),
                'equal ids': (ids == dense_ids).float().mean().item(),
            }
            report.rows.append(row)
            report.marks.append(Mark(what, row['time ratio']))
    report.notes.append(
        'backbone, propagation and masks; early frames, whose context holds '
        'the reference many times'
    )
    return report


def _model(changes: dict) -> torch.nn.Module:
    # Imported late: with the configs it is needed here alone.
    from hvc_mm.engine.run_config import find_config

    config = Config.fromfile(find_config('hvc_davis'))
    config.merge_from_dict(changes)
    torch.manual_seed(0)
    return MODELS.build(config.model).eval()


def _video(size: Tuple[int, int], count: int) -> Tuple[List[Tensor], list]:
    """A picture of noise that moves, one square given on the first frame."""
    generator = torch.Generator().manual_seed(0)
    picture = torch.randint(
        0, 256, (3, *size), generator=generator, dtype=torch.uint8
    )
    samples = []
    for t in range(count):
        sample = VOSDataSample(
            metainfo=dict(starts_video=t == 0, ori_shape=size)
        )
        if t == 0:
            ids = torch.zeros(size, dtype=torch.uint8)
            ids[size[0] // 4 : size[0] // 2, size[1] // 4 : size[1] // 2] = 1
            sample.prompt_ids = ids
        samples.append(sample)
    return [picture.roll(4 * t, -1) for t in range(count)], samples


def _time(model, frames, samples, device) -> Tuple[float, Tensor]:
    """Seconds a frame after the first one, and the masks."""
    if torch.device(device).type == 'cuda':
        # The first of everything costs more there: kernels are loaded.
        _play(model, frames, samples, device)
    return _play(model, frames, samples, device)


def _play(model, frames, samples, device) -> Tuple[float, Tensor]:
    begun, ids = None, []
    for t, (frame, sample) in enumerate(zip(frames, samples)):
        if t == 1:
            begun = _now(device)
        batch = dict(inputs=[frame], data_samples=[sample.clone()])
        (result,) = model.test_step(batch)
        ids.append(result.pred_ids)
    seconds = (_now(device) - begun) / (len(frames) - 1)
    return seconds, torch.stack(ids)


def _now(device: str) -> float:
    if torch.device(device).type == 'cpu':
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()
