"""Where the latest frames of a video are kept.

h w: grid, S: slots, L: live slots, C: feature channels, M: label channels.
"""

from __future__ import annotations

from typing import List, NamedTuple, Sequence

import torch
from torch import Tensor

__all__ = ['FeatureBank', 'LabelBank', 'Segment', 'segments_of']


class Segment(NamedTuple):
    """Frames that each reference either all counts or all leaves out.

    They lie side by side in the bank.

    Attributes:
        first: Time of the oldest frame in it.
        start: First slot.
        stop: One past the last slot.
    """

    first: int
    start: int
    stop: int


def segments_of(
    time: int, slots: int, cuts: Sequence[int], load: int
) -> List[Segment]:
    """Split the live frames of a ring where references begin to count them.

    Frame ``s`` lies in slot ``s % slots``. The contexts of the references
    are nested suffixes in time: a reference at ``t0`` counts no frame
    before it.

    Args:
        time: The next frame; live are the ``slots`` ones before it.
        slots: Size of the ring.
        cuts: Times from which on some reference counts the frames.
        load: Slots read at a time; no segment crosses a multiple of it.

    Returns:
        Segments that cover every live frame once. Without a cut among the
        live frames and with all slots in one load it is a single one:
        within it, the order of the frames does not matter.
    """
    oldest = max(0, time - slots)
    # Where all live frames count, the reference may begin with the oldest.
    live = [cut for cut in cuts if oldest < cut < time]
    if not live and time > oldest:
        ranges = [(oldest, 0, min(time, slots))]
    else:
        edges = {oldest, time, *live}
        # The newest frames may have started a further round of the ring.
        edges |= {t for t in range(oldest, time) if t % slots == 0}
        edges = sorted(edges)
        ranges = [
            (low, low % slots, low % slots + high - low)
            for low, high in zip(edges, edges[1:])
        ]
    return [
        Segment(first, max(start, low), min(low + load, stop))
        for first, start, stop in ranges
        for low in range(start // load * load, stop, load)
    ]


class FeatureBank:
    """A ring of feature maps, the frames of one grid cell side by side.

    The store is ``(h, w, S, C)``: the keys of a run of cells of one grid
    row, over all frames, are one matrix, so a window's products read them
    in place. A frame is written once and never moved.

    Args:
        slots: Frames kept, >= 0.
        height: Rows of the grid.
        width: Columns of the grid.
        channels: Of the features.
        dtype: Stored type; may be narrower than the features.
        device: Where the store lies.
    """

    def __init__(
        self,
        slots: int,
        height: int,
        width: int,
        channels: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.slots = slots
        self.store = torch.empty(
            height, width, slots, channels, dtype=dtype, device=device
        )

    def write(self, time: int, features: Tensor) -> None:
        """Put ``(h, w, C)`` in the place of the oldest frame."""
        if self.slots:
            self.store[:, :, time % self.slots].copy_(features)

    def read(
        self, start: int, stop: int, dtype: torch.dtype, device: torch.device
    ) -> Tensor:
        """``(h, w, stop - start, C)`` of a type and place to compute with.

        A view where both are the store's own.
        """
        return self.store[:, :, start:stop].to(device=device, dtype=dtype)

    def rows(self, cells: Tensor) -> Tensor:
        """Features of single cells.

        Args:
            cells: ``slot * h * w + cell``, any shape.

        Returns:
            ``(*cells.shape, C)`` on the store's device.
        """
        height, width, slots, channels = self.store.shape
        cells = cells.to(self.store.device)
        area = height * width
        index = cells % area * slots + cells // area
        flat = self.store.view(-1, channels)
        return flat.index_select(0, index.flatten()).view(*cells.shape, -1)


class LabelBank:
    """The soft labels that one reference may hand on.

    A table of ``((S + 1) * h * w, M)``: those of the ring's frames, then
    those of the reference frame itself, of this reference's channels only.

    Args:
        channels: Indices of the reference's channels, ``(M,)``.
        labels: Of the reference frame, ``(every channel, h, w)``.
        slots: Frames of the ring.
    """

    def __init__(self, channels: Tensor, labels: Tensor, slots: int) -> None:
        self.channels = channels
        self.slots = slots
        self.area = labels[0].numel()
        # Zeros: cells that no frame has filled are looked up with weight 0.
        self.table = labels.new_zeros((slots + 1) * self.area, len(channels))
        self._put(slots, labels)

    def _put(self, slot: int, labels: Tensor) -> None:
        own = labels.index_select(0, self.channels).flatten(1).t()
        self.table[slot * self.area : (slot + 1) * self.area].copy_(own)

    def write(self, time: int, labels: Tensor) -> None:
        """Put ``(every channel, h, w)`` in the oldest frame's place."""
        if self.slots:
            self._put(time % self.slots, labels)
