"""Label propagation in float32, against its formula in float64, on a video.

h w: grid, C: channels, M: label channels, T: context frames, n: cells.
"""

from __future__ import annotations

import argparse
import math
from functools import partial
from typing import Callable, Dict

import torch
from benchmark_propagation import (
    CHANNELS,
    CHUNK,
    RADIUS,
    TEMPERATURE,
    TOPK,
    Frames,
    dense_labels,
    read_features,
    stack_context,
)
from measuring import Report, Target, is_gpu
from torch import Tensor
from torch.nn import functional as F

from hvc_mm.models.vos import LabelPropagator
from hvc_mm.models.vos.native_search import find_kernel
from hvc_mm.models.vos.propagation import score_cells
from hvc_mm.models.vos.screening import larger
from hvc_mm.models.vos.window import Window

CONTEXT = 50
# Scores that are nearer to each other float32 can't tell apart, nor labels.
TIED, SAME = 1e-6, 1e-5


class Comparison:
    """Compare a form's labels with the formula's, frame by frame.

    Attributes:
        cells: Compared so far.
        other_ids: Cells with another id than the formula's.
        differ: Cells whose labels differ by more than rounding.
        wrong: Those of them where the formula's choice is not a tie.
        largest: Difference of labels, but for ties.
    """

    def __init__(self) -> None:
        self.cells = self.other_ids = self.differ = self.wrong = 0
        self.largest = 0.0

    def add(
        self,
        labels: Tensor,
        exact: Tensor,
        gaps_of: Callable[[Tensor], Tensor],
    ) -> None:
        """Compare labels ``(M, h * w)`` of one frame.

        Args:
            labels: Of the form.
            exact: Of the formula, float64.
            gaps_of: Measures the gaps of some cells, see :func:`score_gaps`.
        """
        difference = (labels - exact).abs().amax(dim=0)
        # Also where they are not numbers, which no tie excuses.
        differ = (~(difference <= SAME)).nonzero()[:, 0]
        finite = difference[differ].isfinite()
        tied = differ[finite & (gaps_of(differ) <= TIED)]
        self.cells += len(difference)
        self.other_ids += int((labels.argmax(0) != exact.argmax(0)).sum())
        self.differ += len(differ)
        self.wrong += len(differ) - len(tied)
        difference[tied] = 0
        self.largest = larger(self.largest, float(difference.max()))

    def row(self, name: str) -> dict:
        """Make the form's line of the table."""
        return {
            'what': name,
            'cells': self.cells,
            'other ids': self.other_ids,
            'labels differ': self.differ,
            'not by a tie': self.wrong,
            'largest difference but for ties': self.largest,
        }


@torch.no_grad()
def measure_exactness(args: argparse.Namespace) -> Report:
    """Compare all forms with the formula in float64, on a video's features.

    Every cell of the last ``--frames`` frames is predicted, from labels
    that are drawn anew for each frame: another match is another label. It
    may differ where the k-th best score of a cell's context and the next
    one are tied in float32; anywhere else a difference is an error.
    """
    torch.manual_seed(args.seed)
    forms = make_forms(args)
    features = read_features(args)
    grid = features[0].shape[2:]
    found = {name: Comparison() for name in ('dense', *forms)}
    count = 1 if args.quick else args.frames
    first = len(features) - min(count, len(features) - 1)
    frames: Frames = []
    for time, query in enumerate(features):
        if time >= first:
            compare_frame(frames, query, forms, found)
        ids = torch.randint(0, CHANNELS, grid, device=query.device)
        labels = F.one_hot(ids, CHANNELS).permute(2, 0, 1)[None].float()
        for form in forms.values():
            form.observe(query, labels, None if time else labels)
        frames.append((query, labels))
    size = f'{grid[0]}x{grid[1]} C={features[0].shape[1]}'
    report = Report(
        f'labels against float64, {size}, last {len(features) - first} of '
        f'{len(features)} frames, radius {RADIUS}, top-{TOPK}'
    )
    for name, comparison in found.items():
        report.rows.append(comparison.row(name))
        target = Target(name, comparison.wrong, 0, True, '{:.0f} cells')
        report.targets.append(target)
    return report


def make_forms(args: argparse.Namespace) -> Dict[str, LabelPropagator]:
    """Make a propagator for each search that is there."""
    native = {'torch': False}
    if find_kernel() is not None and not is_gpu(args.device):
        native['kernel'] = True
    settings = RADIUS, TOPK, TEMPERATURE, CONTEXT
    forms = {
        name: LabelPropagator(*settings, native=wanted)
        for name, wanted in native.items()
    }
    if args.compute_dtype:
        forms[f'torch, {args.compute_dtype}'] = LabelPropagator(
            *settings, compute_dtype=args.compute_dtype, native=False
        )
    if is_gpu(args.device):
        forms['triton'] = LabelPropagator(*settings, native='triton')
    return forms


def compare_frame(
    frames: Frames,
    query: Tensor,
    forms: Dict[str, LabelPropagator],
    found: Dict[str, Comparison],
) -> None:
    """Predict a frame by all forms and compare."""
    cells = torch.arange(query[0, 0].numel(), device=query.device)
    context = stack_context(frames, 0, CONTEXT)
    labels = {'dense': dense_labels([context], query, cells)}
    for name, form in forms.items():
        labels[name] = form.predict(query)[0].flatten(1)
    wide = context[0].double(), context[1].double()
    exact = dense_labels([wide], query.double(), cells)
    times = [0, *range(len(frames) - CONTEXT, len(frames))]
    times = torch.tensor(times, device=query.device).clamp(min=0)
    gaps_of = partial(score_gaps, wide[0], times, query.double())
    for name, own in labels.items():
        found[name].add(own, exact, gaps_of)


def score_gaps(
    keys: Tensor, times: Tensor, query: Tensor, cells: Tensor
) -> Tensor:
    """Measure how near another match is to the last one that is kept.

    That is the next one, which is left out. Copies of one cell, which the
    context of an early frame has, are the same match. Where some of them
    are kept and some are left out, the nearest other match is meant, be it
    kept or not: it decides how many of them are.

    Args:
        keys: Features of the context, ``(T, C, h, w)``.
        times: Of its frames, ``(T,)``; copies have the same.
        query: ``(1, C, h, w)``.
        cells: Of the query, ``(n,)``.

    Returns:
        ``(n,)``, not negative.
    """
    area = query[0, 0].numel()
    gaps = [query.new_zeros(0)]
    for some in cells.split(CHUNK):
        scores = score_cells(keys, query, some, Window(RADIUS))
        # As many as may be copies of the last one, and one more.
        best, index = scores.topk(TOPK + len(keys))
        match = times[index // area] * area + index % area
        last = best[:, TOPK - 1 : TOPK], match[:, TOPK - 1 : TOPK]
        away = (best - last[0]).abs()
        away.masked_fill_(match == last[1], math.inf)
        below = away[:, TOPK:].amin(dim=1)
        split = match[:, TOPK] == last[1][:, 0]
        gaps.append(torch.where(split, away.amin(dim=1), below))
    return torch.cat(gaps)
