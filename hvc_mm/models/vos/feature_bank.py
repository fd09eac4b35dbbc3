"""Keep a video's features and find the most similar cells in them.

Products in half precision mix up matches whose scores differ by less than
their rounding. So the search takes a few more candidates than are needed,
and the choice among those is made here, by the features as they came.

h w: grid, S: slots of the ring, C: feature channels, n: queries,
K: candidates.
"""

from __future__ import annotations

import math
from typing import List, Optional, Sequence

import torch
from torch import Tensor

from .candidates import Candidates, topk_candidates
from .windowed_search import WindowedSearch

__all__ = ['FeatureBank']

# More candidates than needed where products are of a half type: they are
# scored again in full precision. With 32 in all (15 and these) the k-th best
# beat all that were left out for every query of real features in bfloat16.
SPARE = 17
# Features gathered at a time, in elements: 16 MiB in float32.
BUDGET = 4 << 20


class FeatureBank:
    """Features of a video: a ring of the latest frames, reference frames.

    Args:
        frame: Features of a frame, ``(h, w, C)``: type, shape and device of
            those to come.
        radius: Of the window, in cells; None: no limit.
        topk: Candidates kept per query and set of frames.
        slots: Latest frames kept, >= 0.
        dtype: Of the products; None: the features' own. With a narrower
            one the features are kept a second time, as they came.
    """

    def __init__(
        self,
        frame: Tensor,
        radius: Optional[float],
        topk: int,
        slots: int,
        dtype: Optional[torch.dtype] = None,
    ) -> None:
        height, width, channels = frame.shape
        dtype = dtype or frame.dtype
        self.topk = topk
        self.is_rounded = (
            torch.finfo(dtype).bits < torch.finfo(frame.dtype).bits
        )
        wanted = topk + SPARE if self.is_rounded else topk
        self.search = WindowedSearch(frame, radius, wanted, slots, dtype)
        self.references: List[Tensor] = []
        # As they came; empty unless products are of rounded ones.
        kept = slots if self.is_rounded else 0
        self.exact_ring = frame.new_empty(height, width, kept, channels)
        self.exact_references: List[Tensor] = []

    def write(self, time: int, frame: Tensor) -> None:
        """Put features ``(h, w, C)`` in the place of the oldest frame's."""
        self.search.write(time, frame)
        if self.exact_ring.shape[2]:
            self.exact_ring[:, :, time % self.search.slots] = frame

    def add_reference(self, frame: Tensor) -> None:
        """Keep features ``(h, w, C)`` as long as the video runs."""
        # Copied: the frame may be part of a batch, which would stay with it.
        keys = frame.to(self.search.keys.dtype, copy=True)
        self.references.append(keys)
        if self.is_rounded:
            self.exact_references.append(frame[:, :, None].clone())

    def find(
        self, time: int, frame: Tensor, starts: Sequence[int]
    ) -> List[List[Candidates]]:
        """Find the most similar cells for each cell of a frame.

        Args:
            time: Of the frame: one more than of the latest that was written.
            frame: Its features ``(h, w, C)``.
            starts: Of each reference, time of the first frame of the ring
                that is in its context.

        Returns:
            Per reference candidates ``(h * w, K)``, K at least the smaller
            of ``topk`` and the cells there are: of the reference frame,
            anywhere, then of the ring's frames in its context, within the
            window.
        """
        queries = frame.to(self.search.keys.dtype)
        segments = self.search.segments(time, starts)
        latest = self.search.find_in_window(queries, segments)
        own = [self.search.find_anywhere(k, queries) for k in self.references]
        if self.is_rounded:
            latest = [
                _rescore(one, self.exact_ring, frame, self.topk)
                for one in latest
            ]
            own = [
                _rescore(one, keys, frame, self.topk)
                for one, keys in zip(own, self.exact_references)
            ]
        found = []
        for one, start in zip(own, starts):
            pairs = zip(segments, latest)
            counted = [others for at, others in pairs if at.first >= start]
            found.append([one, *counted])
        return found


def _rescore(
    found: Candidates, features: Tensor, queries: Tensor, topk: int
) -> Candidates:
    """Score candidates by ``features`` ``(h, w, S, C)``, keep the best.

    Args:
        found: ``(n, K)``, chosen by rounded scores.
        features: Not rounded, of the frames that they are cells of.
        queries: ``(h, w, C)``, not rounded.
        topk: Candidates kept.

    Returns:
        ``(n, min(topk, K))``; a score of ``-inf`` remains so.
    """
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
