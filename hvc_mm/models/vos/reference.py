"""Keep the labels that a reference frame propagates.

h w: grid, M: label channels of the reference, S: slots of the ring of latest
frames, K: candidates.
"""

from __future__ import annotations

from typing import Sequence

import torch
from torch import Tensor

from .candidates import Candidates, merge_candidates, weighted_labels

__all__ = ['Reference']


class Reference:
    """A frame that brought labels; it is kept as long as the video runs.

    Attributes:
        time: Index of the frame since the video's first.
        channels: Label channels that it brought, ``(M,)`` indices.
        labels: Of those channels, ``((S + 1) * h * w, M)``: of the ring's
            frames, then its own. Rows of slots without a frame are zero.

    Args:
        time: As the attribute.
        rows: The frame's labels, ``(h * w, all channels)``.
        channels: Those that it brought.
        slots: S.
    """

    def __init__(
        self, time: int, rows: Tensor, channels: Sequence[int], slots: int
    ) -> None:
        self.time = time
        self.channels = torch.tensor(channels, device=rows.device)
        self.slots = slots
        self.labels = rows.new_zeros((slots + 1) * len(rows), len(channels))
        self.labels[-len(rows) :] = rows[:, self.channels]

    def write(self, time: int, rows: Tensor) -> None:
        """Put labels ``(h * w, all channels)`` in the oldest frame's place."""
        if self.slots:
            first = time % self.slots * len(rows)
            table = self.labels[first : first + len(rows)]
            table[:] = rows[:, self.channels]

    def sum_labels(
        self,
        found: Sequence[Candidates],
        time: int,
        copies: int,
        topk: int,
        temperature: float,
    ) -> Tensor:
        """Sum the labels of the best matches, weighted by similarity.

        Args:
            found: Candidates ``(h * w, K)`` in this frame, anywhere, then in
                frames of the ring.
            time: Of the frame that they are for.
            copies: How often this frame is in the context within the window.
            topk: Matches kept, copies included.
            temperature: Divides the scores before the softmax.

        Returns:
            ``(h * w, M)``.
        """
        scores, cells = (torch.cat(one, dim=1) for one in zip(*found))
        area, own = len(cells), found[0].cells.shape[1]
        # This frame's own labels come after those of the ring.
        cells[:, :own] += self.slots * area
        counts = torch.ones(self.slots + 1, device=cells.device)
        if time - self.time <= self.slots:
            counts[self.time % self.slots] = copies
        merged = Candidates(scores, cells)
        weights, cells = merge_candidates(
            merged, counts[cells // area], topk, temperature
        )
        return weighted_labels(self.labels, weights, cells)
