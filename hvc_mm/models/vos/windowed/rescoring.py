"""Scores of chosen cells in full precision.

n: queries, C: feature channels, K: candidates.
"""

from __future__ import annotations

from typing import Callable

import torch
from torch import Tensor

from .selection import Candidates, best

__all__ = ['rescore']

# Gathered features held at a time, in elements.
BUDGET = 4 << 20


def rescore(
    candidates: Candidates,
    features_of: Callable[[Tensor], Tensor],
    queries: Tensor,
    topk: int,
) -> Candidates:
    """Score candidates again and keep the best.

    Products in half precision mix up matches whose scores differ by less
    than their rounding; among a few more candidates than needed the
    selection is then made in the queries' own type.

    Args:
        candidates: ``(n, K)``, chosen by rounded scores.
        features_of: Maps cells to features ``(*cells.shape, C)``, on any
            device and of any type.
        queries: ``(h, w, C)`` or ``(n, C)``, not rounded.
        topk: Candidates kept.

    Returns:
        ``(n, min(topk, K))``. Where a score was ``-inf`` it remains so.
    """
    queries = queries.reshape(-1, queries.shape[-1])
    k = candidates.scores.shape[1]
    scores = []
    chunk = max(1, BUDGET // (k * queries.shape[1]))
    for part, cells in zip(
        queries.split(chunk), candidates.cells.split(chunk)
    ):
        features = features_of(cells).to(part)
        scores.append((features @ part[:, :, None]).squeeze(2))
    scores = torch.cat(scores)
    scores.masked_fill_(candidates.scores == float('-inf'), float('-inf'))
    scores, order = best(scores, topk)
    return Candidates(scores, candidates.cells.gather(1, order))
