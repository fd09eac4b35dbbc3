"""Label propagation by published protocols, against whole affinities.

h w: grid, C: channels, M: label channels, L: frames, n: cells.
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import List, Tuple

import torch
from measuring import Report, Target, best_times, ratio
from torch import Tensor
from torch.nn import functional as F

from hvc_mm.models.vos import LabelPropagator
from hvc_mm.models.vos.window import Window, in_window

# A frame of 480x424 by patches of 8, and the width of a ViT-S.
GRID, QUICK_GRID, CHANNELS = (60, 53), (30, 27), 384
LABELS = 4
# Protocols that count the reference once, within the window.
PROTOCOLS = ('dino', 'dinov3')
Video = Tuple[List[Tensor], List[Tensor], Tensor]


def measure_protocol(args: argparse.Namespace) -> Report:
    """Measure a step of DINO's protocols against their whole affinity.

    As the public evaluations do it, the whole form makes the products of
    all cells of all frames, and a mask keeps those of the window.
    """
    grid = QUICK_GRID if args.quick else GRID
    size = f'{grid[0]}x{grid[1]}'
    report = Report(f'one frame by protocols, {size}, C={CHANNELS}')
    for name in args.names:
        torch.manual_seed(args.seed)
        ours = LabelPropagator.from_protocol(name)
        features, labels, query = make_video(ours, grid, args.device)
        near = window_mask(ours.window, grid, args.device)
        numbers = near, ours.topk, ours.temperature
        runs = {
            'whole': partial(whole_labels, features, labels, query, *numbers),
            'ours': partial(ours.predict, query),
        }
        difference = (runs['whole']() - runs['ours']()).abs().max()
        seconds = best_times(runs, args.repeats, args.device)
        gain = ratio(seconds['whole'], seconds['ours'])
        report.rows.append(
            {
                'what': name,
                'whole s': seconds['whole'],
                'ours s': seconds['ours'],
                'time ratio': gain,
                'largest difference': float(difference),
            }
        )
        report.targets.append(Target(name, gain))
    return report


def make_video(
    propagator: LabelPropagator, grid: Tuple[int, int], device: str
) -> Video:
    """Show a propagator a reference frame and a full context of noise.

    Gives features ``(1, C, h, w)`` and labels ``(1, M, h, w)`` of the frames
    that count, the reference first, and the features of the next frame.
    """
    frames = [
        F.normalize(torch.randn(1, CHANNELS, *grid, device=device), dim=1)
        for _ in range(propagator.context + 2)
    ]
    kept = [
        torch.randn(1, LABELS, *grid, device=device).softmax(dim=1)
        for _ in frames[:-1]
    ]
    for time, (frame, labels) in enumerate(zip(frames, kept)):
        # What came before is given: only one step is measured.
        new = labels if time == 0 else None
        propagator.observe(frame, labels, new)
    return frames[:-1], kept, frames[-1]


def window_mask(window: Window, grid: Tuple[int, int], device: str) -> Tensor:
    """Tell which pairs of cells are in the window, ``(n, n)`` bool."""
    rows, columns = (torch.arange(side, device=device) for side in grid)
    y, x = (
        one.flatten() for one in torch.meshgrid(rows, columns, indexing='ij')
    )
    return in_window(y[:, None] - y, x[:, None] - x, window)


@torch.no_grad()
def whole_labels(
    features: List[Tensor],
    labels: List[Tensor],
    query: Tensor,
    near: Tensor,
    topk: int,
    temperature: float,
) -> Tensor:
    """Propagate labels by the affinity of all cells of all frames.

    Args:
        features: Of each frame, ``(1, C, h, w)``.
        labels: Of each frame, ``(1, M, h, w)``.
        query: Features of the next frame, ``(1, C, h, w)``.
        near: Pairs of cells in the window, ``(n, n)``.
        topk: Cells that are kept per query.
        temperature: Divides the products.

    Returns:
        The labels of the next frame, ``(1, M, h, w)``.
    """
    keys = torch.cat(features).flatten(2)  # (L, C, n)
    products = query[0].flatten(1).t() @ keys  # (L, n, n)
    products.masked_fill_(~near, float('-inf'))
    scores, cells = products.transpose(0, 1).flatten(1).topk(topk, dim=1)
    weights = (scores / temperature).softmax(dim=1)
    values = torch.cat(labels).flatten(2).transpose(1, 2).flatten(0, 1)
    found = (weights[..., None] * values[cells]).sum(dim=1)
    return found.t().reshape(1, -1, *query.shape[2:])
