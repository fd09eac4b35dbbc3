"""Matches of a frame in its reference frame, anywhere on the grid.

h w: grid, C: feature channels, n: queries of one chunk, K: kept cells.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .selection import Candidates, best, widen

__all__ = ['reference_step']

# Cells of a group. A multiple of 16 keeps the rows of the scores aligned
# (matrix kernels are a quarter slower else). Fewer cells make more groups to
# choose from but fewer members to search; 32 is the fastest on usual grids.
# From 64 on the members of k groups are 64 k values, where torch's top-k on
# a CPU turns to a method that is slow if scores rise steadily, as they do in
# real frames.
GROUP = 32


def reference_step(
    keys: Tensor, queries: Tensor, topk: int, chunk: int = 384
) -> Candidates:
    """The best cells of one frame for every query.

    Each of the ``topk`` best cells lies in one of the ``topk`` groups of
    cells whose best cell is best, so only those groups are searched.

    Args:
        keys: ``(h, w, C)``.
        queries: ``(n, C)``.
        topk: Cells kept per query.
        chunk: Queries worked on at a time; bounds the memory.

    Returns:
        Scores and flat grid cells, each ``(n, K)``,
        ``K = min(topk, h * w)``.
    """
    keys = keys.reshape(-1, keys.shape[-1])
    groups = -(-len(keys) // GROUP)
    scratch = queries.new_full(
        (min(chunk, len(queries)), groups * GROUP), float('-inf')
    )
    kept, cells = [], []
    for part in queries.split(chunk):
        scores = scratch[: len(part)]
        torch.mm(part, keys.t(), out=scores[:, : len(keys)])
        scores = scores.view(len(part), groups, GROUP)
        _, group = best(scores.amax(dim=2), topk)
        first = torch.arange(len(part), device=group.device)[:, None] * groups
        members = scores.view(-1, GROUP).index_select(
            0, (first + group).flatten()
        )
        score, index = best(
            widen(members).view(len(part), -1), min(topk, len(keys))
        )
        kept.append(score)
        cells.append(group.gather(1, index // GROUP) * GROUP + index % GROUP)
    return Candidates(torch.cat(kept), torch.cat(cells))
