"""Keep what later frames of a video need of earlier ones.

The features of the latest frames are in a ring: each frame is written once,
over the oldest one, and never moved. Frames that brought labels, the
references, are kept as long as the video runs. Labels are in one table per
reference, of the channels that came with it.

h w: grid, S: slots of the ring, C: feature channels, M: label channels,
n: queries, K: candidates.
"""

from __future__ import annotations

import math
from typing import List, NamedTuple, Optional, Sequence

import torch
from torch import Tensor

from .windowed_search import Candidates, Segment, topk_candidates

__all__ = ['FeatureBank', 'Reference']

# Features gathered at a time to score candidates again, in elements: 16 MiB
# in float32.
RESCORE_BUDGET = 4 << 20


class Reference(NamedTuple):
    """A frame that brought labels.

    Attributes:
        time: Index of the frame since the video's first.
        channels: Label channels that it brought, ``(M,)`` indices.
        keys: Its features in the type of the products, ``(h, w, C)``.
        features: The same in their own type, ``(h, w, 1, C)``.
        labels: ``((S + 1) * h * w, M)``: of the ring's frames, then of the
            reference itself. Rows of slots without a frame are zero.
    """

    time: int
    channels: Tensor
    keys: Tensor
    features: Tensor
    labels: Tensor


class FeatureBank:
    """A ring of feature maps, the frames of one grid cell next to each other.

    Keys are ``(h, w, S, C)``: those of a run of cells of one grid row, over
    all frames, are one matrix, so a window's products read them in place.
    Where products are of a narrower type than the features, a second ring
    keeps the features themselves.

    Args:
        slots: Frames kept, >= 0.
        features: Of the first frame, ``(h, w, C)``: type, shape and device
            of those to come.
        dtype: Of the products.
    """

    def __init__(
        self, slots: int, features: Tensor, dtype: torch.dtype
    ) -> None:
        height, width, channels = features.shape
        shape = (height, width, slots, channels)
        self.slots, self.area = slots, height * width
        self.keys = features.new_empty(shape, dtype=dtype)
        bits = torch.finfo(dtype).bits
        self.is_rounded = bits < torch.finfo(features.dtype).bits
        self.features: Optional[Tensor] = None
        if self.is_rounded:
            self.features = features.new_empty(shape)
        self.references: List[Reference] = []

    def write(self, time: int, features: Tensor, labels: Tensor) -> None:
        """Put a frame in the place of the oldest one.

        Args:
            time: Index of the frame.
            features: ``(h, w, C)``.
            labels: ``(h * w, M)`` of every channel so far.
        """
        if not self.slots:
            return
        slot = time % self.slots
        self.keys[:, :, slot] = features
        if self.features is not None:
            self.features[:, :, slot] = features
        rows = slice(slot * self.area, (slot + 1) * self.area)
        for reference in self.references:
            reference.labels[rows] = labels[:, reference.channels]

    def add_reference(
        self, time: int, features: Tensor, labels: Tensor, channels: Tensor
    ) -> None:
        """Keep a frame that brought labels; :meth:`write` it after that.

        Args:
            time: Index of the frame.
            features: ``(h, w, C)``.
            labels: ``(h * w, M)`` of every channel so far.
            channels: Indices of those that it brought.
        """
        rows = (self.slots + 1) * self.area
        # Zeros: rows that no frame has filled are read with weight 0.
        table = labels.new_zeros(rows, len(channels))
        table[-self.area :] = labels[:, channels]
        features = features.contiguous()
        keys = features.to(self.keys.dtype)
        self.references.append(
            Reference(time, channels, keys, features[:, :, None], table)
        )

    def live_keys(self, time: int) -> Tensor:
        """Keys ``(h, w, L, C)`` of the frames before ``time``."""
        return self.keys[:, :, : min(time, self.slots)]

    def segments(self, time: int, cuts: Sequence[int]) -> List[Segment]:
        """Split the latest frames where references begin to count them.

        Frame ``s`` is in slot ``s % slots``. A reference at ``t0`` counts
        no frame before ``t0``, so the frames that references count are
        nested suffixes in time.

        Args:
            time: The next frame; the ``slots`` ones before it are live.
            cuts: Times from which on some reference counts the frames.

        Returns:
            Segments that cover every live frame once. Without a cut among
            the live frames it is a single one: within it, the order of the
            frames does not matter.
        """
        oldest = max(0, time - self.slots)
        # Where all live frames count, the reference may be the oldest.
        live = {cut for cut in cuts if oldest < cut < time}
        if not live and oldest < time:
            return [Segment(oldest, 0, min(time, self.slots))]
        # The newest frames may have started a further round of the ring.
        rounds = {t for t in range(oldest, time) if t % self.slots == 0}
        edges = sorted({oldest, time} | live | rounds)
        return [
            Segment(low, low % self.slots, low % self.slots + high - low)
            for low, high in zip(edges, edges[1:])
        ]

    def rescore(
        self,
        found: Candidates,
        queries: Tensor,
        topk: int,
        reference: Optional[Reference] = None,
    ) -> Candidates:
        """Score candidates again where the products were rounded.

        Products in half precision mix up matches whose scores differ by
        less than their rounding. So the search takes a few more than are
        needed, and the choice among those is made here, by the features as
        they came.

        Args:
            found: ``(n, K)``; cells of the ring, or of one reference.
            queries: ``(n, C)``, not rounded.
            topk: Candidates kept.
            reference: The frame that they are of; None: the ring's.

        Returns:
            ``(n, min(topk, K))``, cells as rows of a reference's labels.
            Where a score was ``-inf`` it remains so. Without rounding the
            candidates remain as they are.
        """
        if self.is_rounded:
            table = self.features if reference is None else reference.features
            found = _rescore(found, table, queries, topk)
        if reference is None:
            return found
        # Its own labels come after those of the ring.
        return found._replace(cells=found.cells + self.slots * self.area)


def _rescore(
    found: Candidates, features: Tensor, queries: Tensor, topk: int
) -> Candidates:
    """See :meth:`FeatureBank.rescore`; ``features`` are ``(h, w, S, C)``."""
    height, width, slots, channels = features.shape
    table = features.view(-1, channels)
    size = max(1, RESCORE_BUDGET // (found.cells.shape[1] * channels))
    scores = []
    for part, cells in zip(queries.split(size), found.cells.split(size)):
        slot, cell = cells // (height * width), cells % (height * width)
        keys = table[cell * slots + slot]
        scores.append((keys @ part[:, :, None]).squeeze(2))
    scores = torch.cat(scores)
    scores.masked_fill_(found.scores == -math.inf, -math.inf)
    scores, order = topk_candidates(scores, topk)
    return Candidates(scores, found.cells.gather(1, order))
