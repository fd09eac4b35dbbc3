"""Keep features as they came, where products are made of rounded ones.

Products in half precision mix up matches whose scores differ by less than
their rounding. So the search takes a few more candidates than are needed,
and the choice among those is made here, by the exact features of the latest
frames and of the references.

h w: grid, S: slots of the ring, C: feature channels, n: queries,
K: candidates.
"""

from __future__ import annotations

import math
from typing import List, Sequence

import torch
from torch import Tensor

from .windowed_search import Candidates, topk_candidates

__all__ = ['FeatureBank']

# Features gathered at a time, in elements: 16 MiB in float32.
BUDGET = 4 << 20


class FeatureBank:
    """Exact features of a video: a ring of the latest frames, references.

    Args:
        frame: Features of a frame, ``(h, w, C)``: type, shape and device of
            those to come.
        slots: Latest frames kept, >= 0.
    """

    def __init__(self, frame: Tensor, slots: int) -> None:
        height, width, channels = frame.shape
        self.ring = frame.new_empty(height, width, slots, channels)
        self.references: List[Tensor] = []

    def write(self, time: int, frame: Tensor) -> None:
        """Put features ``(h, w, C)`` in the place of the oldest frame's."""
        slots = self.ring.shape[2]
        if slots:
            self.ring[:, :, time % slots] = frame

    def add_reference(self, frame: Tensor) -> None:
        """Keep features ``(h, w, C)`` as long as the video runs."""
        self.references.append(frame[:, :, None].clone())

    def rescore(
        self, latest: Sequence[Candidates], queries: Tensor, topk: int
    ) -> List[Candidates]:
        """Score candidates in the latest frames again and keep the best.

        Args:
            latest: Each ``(n, K)``, chosen by rounded scores.
            queries: ``(h, w, C)``, not rounded.
            topk: Candidates kept.

        Returns:
            Each ``(n, min(topk, K))``; a score of ``-inf`` remains so.
        """
        return [_rescore(one, self.ring, queries, topk) for one in latest]

    def rescore_reference(
        self, frame: int, found: Candidates, queries: Tensor, topk: int
    ) -> Candidates:
        """Score the candidates in one reference frame again.

        Args:
            frame: Its place among those that were added.
            found: ``(n, K)``, chosen by rounded scores.
            queries: ``(h, w, C)``, not rounded.
            topk: Candidates kept.

        Returns:
            ``(n, min(topk, K))``.
        """
        return _rescore(found, self.references[frame], queries, topk)


def _rescore(
    found: Candidates, features: Tensor, queries: Tensor, topk: int
) -> Candidates:
    """Score again by ``features`` ``(h, w, S, C)``."""
    height, width, slots, channels = features.shape
    table = features.flatten(0, 2)
    size = max(1, BUDGET // (found.cells.shape[1] * channels))
    scores = []
    for part, cells in zip(
        queries.flatten(0, 1).split(size), found.cells.split(size)
    ):
        slot, cell = cells // (height * width), cells % (height * width)
        keys = table[cell * slots + slot]
        scores.append((keys @ part[:, :, None]).squeeze(2))
    scores = torch.cat(scores)
    scores.masked_fill_(found.scores == -math.inf, -math.inf)
    scores, order = topk_candidates(scores, topk)
    return Candidates(scores, found.cells.gather(1, order))
