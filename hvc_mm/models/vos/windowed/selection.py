"""From affinities to labels: keep the best, weigh them, sum their labels.

n: queries, G: groups, K: kept candidates.
"""

from __future__ import annotations

from typing import NamedTuple, Sequence, Tuple, Union

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ['Candidates', 'best', 'blend', 'join', 'widen']


class Candidates(NamedTuple):
    """The best matches of every query within some frames.

    Attributes:
        scores: Dot products ``(n, K)``; ``-inf`` where there are fewer.
        cells: Rows of a label table ``(n, K)``; 0 where there are fewer.
    """

    scores: Tensor
    cells: Tensor


def widen(values: Tensor) -> Tensor:
    """Half precision to float32; wider types as they are."""
    return values.float() if values.element_size() < 4 else values


def best(scores: Tensor, k: int, ordered: bool = False) -> Tuple:
    """``Tensor.topk`` over the last dimension that never asks for more
    than there are."""
    return scores.topk(min(k, scores.shape[-1]), dim=-1, sorted=ordered)


def join(
    parts: Sequence[Candidates],
    counts: Sequence[Union[int, Tensor]],
    topk: int,
    temperature: float,
) -> Tuple[Tensor, Tensor]:
    """Weights of the ``topk`` best matches over several sets of frames.

    A frame that stands ``m`` times in the context offers each of its cells
    ``m`` times. Such a cell is kept once, with the number of its copies
    that are among the ``topk`` best: of the copies ahead of it, ``c``,
    there is room for ``topk - c`` more.

    Args:
        parts: Candidates of sets of frames, each at least the ``topk``
            best (or all) of its set.
        counts: Per set how often it stands in the context, >= 1, or how
            often each candidate's frame does, ``(n, K)``.
        topk: Matches kept, copies included.
        temperature: Divides the scores before the softmax.

    Returns:
        ``weights (n, K)`` that sum to one and ``cells (n, K)``.
    """
    scores = torch.cat([part.scores for part in parts], dim=1)
    cells = torch.cat([part.cells for part in parts], dim=1)
    copies = torch.cat(
        [
            count.to(part.scores)
            if isinstance(count, Tensor)
            # Filled where it lies: a copy to a GPU would wait for its queue.
            else torch.full_like(part.scores, count)
            for part, count in zip(parts, counts)
        ],
        dim=1,
    )
    scores, order = best(scores, topk, ordered=True)
    copies = copies.gather(1, order)
    ahead = copies.cumsum(dim=1) - copies
    copies = (topk - ahead).clamp_(min=0).minimum(copies)
    weights = copies * ((scores - scores[:, :1]) / temperature).exp_()
    weights /= weights.sum(dim=1, keepdim=True)
    return weights, cells.gather(1, order)


def blend(table: Tensor, weights: Tensor, cells: Tensor) -> Tensor:
    """Weighted sum of label rows.

    Args:
        table: ``(rows, M)``.
        weights: ``(n, K)``.
        cells: Rows of the table, ``(n, K)``.

    Returns:
        ``(n, M)``.
    """
    return F.embedding_bag(
        cells,
        table,
        mode='sum',
        per_sample_weights=weights.to(table.dtype),
    )
