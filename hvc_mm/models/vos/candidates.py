"""Keep the most similar cells of a query, and weigh their labels.

n: queries, K: candidates of each, M: label channels.
"""

from __future__ import annotations

from typing import NamedTuple, Tuple

import torch.nn.functional as F
from torch import Tensor

__all__ = [
    'Candidates',
    'merge_candidates',
    'topk_candidates',
    'weighted_labels',
]


class Candidates(NamedTuple):
    """The most similar cells of some frames, for every query.

    Attributes:
        scores: Dot products ``(n, K)``; ``-inf`` where there are fewer.
        cells: ``slot * h * w + cell``, ``(n, K)``; 0 where there are fewer.
    """

    scores: Tensor
    cells: Tensor


def topk_candidates(
    scores: Tensor, k: int, ordered: bool = False
) -> Tuple[Tensor, Tensor]:
    """Take the ``k`` largest over the last dimension, or all if fewer.

    Args:
        scores: ``(..., n)``.
        k: At least 1.
        ordered: Largest first.

    Returns:
        Values and indices, each ``(..., min(k, n))``.
    """
    return scores.topk(min(k, scores.shape[-1]), dim=-1, sorted=ordered)


def merge_candidates(
    found: Candidates, copies: Tensor, topk: int, temperature: float
) -> Tuple[Tensor, Tensor]:
    """Weigh the ``topk`` best matches among candidates of several frames.

    A frame that is ``m`` times in the context offers each of its cells
    ``m`` times. Such a cell is kept once, with the number of its copies that
    are among the ``topk`` best: of the copies ahead of it, ``c``, there is
    room for ``topk - c`` more. The weights are the softmax over the copies.

    Args:
        found: ``(n, K)``: of every set of frames at least the ``topk`` best.
        copies: How often each is in the context, ``(n, K)``.
        topk: Matches kept, copies included.
        temperature: Divides the scores before the softmax.

    Returns:
        ``weights (n, k)`` that sum to one and ``cells (n, k)``,
        ``k = min(topk, K)``.
    """
    scores, order = topk_candidates(found.scores, topk, ordered=True)
    copies = copies.gather(1, order).to(scores)
    ahead = copies.cumsum(dim=1) - copies
    copies = (topk - ahead).clamp_(min=0).minimum(copies)
    weights = copies * ((scores - scores[:, :1]) / temperature).exp_()
    weights /= weights.sum(dim=1, keepdim=True)
    return weights, found.cells.gather(1, order)


def weighted_labels(table: Tensor, weights: Tensor, cells: Tensor) -> Tensor:
    """Sum the rows ``cells`` ``(n, K)`` of a table ``(rows, M)`` by weight
    to ``(n, M)``."""
    weights = weights.to(table.dtype)
    return F.embedding_bag(
        cells, table, mode='sum', per_sample_weights=weights
    )
