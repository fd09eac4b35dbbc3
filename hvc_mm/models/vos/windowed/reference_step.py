"""Matches of a frame in its reference frame, anywhere on the grid.

h w: grid, C: feature channels, n: queries of one chunk, K: kept cells.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .selection import Candidates, best, widen

__all__ = ['reference_step']


def reference_step(
    keys: Tensor, queries: Tensor, topk: int, chunk: int = 256
) -> Candidates:
    """The best cells of one frame for every query.

    The rows of the grid are groups: each of the ``topk`` best cells lies
    in one of the ``topk`` rows whose best cell is best, so only those rows
    are searched.

    Args:
        keys: ``(h, w, C)``.
        queries: ``(n, C)``.
        topk: Cells kept per query.
        chunk: Queries worked on at a time; bounds the memory.

    Returns:
        Scores and flat grid cells, each ``(n, K)``,
        ``K = min(topk, h * w)``.
    """
    height, width, channels = keys.shape
    keys = keys.reshape(-1, channels)
    kept, cells = [], []
    scratch = queries.new_empty(min(chunk, len(queries)), len(keys))
    for part in queries.split(chunk):
        scores = scratch[: len(part)]
        torch.mm(part, keys.t(), out=scores)
        scores = scores.view(len(part), height, width)
        _, row = best(scores.amax(dim=2), topk)
        offset = torch.arange(len(part), device=row.device)[:, None] * height
        rows = scores.view(-1, width).index_select(0, (row + offset).flatten())
        score, index = best(widen(rows).view(len(part), -1), topk)
        kept.append(score)
        cells.append(row.gather(1, index // width) * width + index % width)
    return Candidates(torch.cat(kept), torch.cat(cells))
