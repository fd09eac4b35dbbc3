"""Which keys the queries of a tile can match: geometry alone.

A tile is a few columns of queries, as tall as the memory for its scores
allows (mostly the whole grid). Keys are visited row by row: key row ``v``
meets query rows ``v - R .. v + R`` only, so no product is made for rows out
of reach, and nearly all of a tile's columns are in each other's reach.

h w: grid, R: reach, H: query rows, X: query columns, V: key rows in reach
of the tile, U: key columns in reach, J: query rows stored per key row,
D: most key cells that a query of the tile can match.
"""

from __future__ import annotations

import math
from typing import Iterator, List, NamedTuple, Optional

import torch
from torch import Tensor

__all__ = ['RowBand', 'Tile', 'Tiling', 'reach_of']

# Matrix kernels lose up to a third on widths that are no multiple of this.
ALIGNMENT = 16


def reach_of(radius: Optional[float], height: int, width: int) -> int:
    """Largest offset along one axis that lies nearer than the radius."""
    most = max(height, width) - 1
    if radius is None or math.isinf(radius):
        return most
    return min(math.ceil(radius) - 1, most)


class RowBand(NamedTuple):
    """The rows of a tile: which query rows each key row meets.

    Attributes:
        top: First query row (of the grid).
        bottom: One past the last.
        first_key: First key row in reach.
        last_key: One past the last.
        stored: J.
        base: Per key row the query row (counted from ``top``) that its
            first stored score belongs to.
        bases: The same as a tensor, ``(V,)``.
        spans: Per key row, which of its J stored query rows to compute.
    """

    top: int
    bottom: int
    first_key: int
    last_key: int
    stored: int
    base: List[int]
    bases: Tensor
    spans: List[range]


class Tile(NamedTuple):
    """Queries ``[band.top, band.bottom) x [left, right)`` of the grid.

    Attributes:
        band: Its rows.
        left: First query column.
        right: One past the last.
        first_key: First key column in reach.
        last_key: One past the last.
        near: Per query the key cells within the radius, as places in the
            scores ``(V, U, J, X)`` of one frame, ``(H * X, D)``.
        missing: Where a query has fewer than D, ``(H * X, D)`` bool; None
            where all have D.
    """

    band: RowBand
    left: int
    right: int
    first_key: int
    last_key: int
    near: Tensor
    missing: Optional[Tensor]


class Tiling:
    """Cuts a grid into tiles.

    Args:
        height: Rows of the grid.
        width: Columns of the grid.
        radius: In cells, strict; None: no limit.
        columns: Query columns of a tile.
        budget: Most scores ``V * U * J * X`` of a tile for one frame;
            limits its rows.
        device: Of the index tables.
    """

    def __init__(
        self,
        height: int,
        width: int,
        radius: Optional[float],
        columns: int,
        budget: int,
        device: torch.device,
    ) -> None:
        self.height, self.width = height, width
        self.reach = reach_of(radius, height, width)
        self.columns = min(columns, width)
        unlimited = radius is None or math.isinf(radius)
        # d^2 is an integer: d^2 >= r^2 is d^2 >= ceil(r^2), with no rounding.
        self._limit = None if unlimited else math.ceil(radius**2)
        self._device = device
        rows = self._rows_within(budget)
        self._bands = [
            self._band(height * i // rows, height * (i + 1) // rows)
            for i in range(rows)
        ]
        self._near = {}

    def __iter__(self) -> Iterator[Tile]:
        """Tiles that cover the grid; the last column of tiles may overlap
        the one before, so that all are of one shape."""
        for band in self._bands:
            for left in range(0, self.width, self.columns):
                left = min(left, self.width - self.columns)
                yield self._tile(band, left, left + self.columns)

    def _rows_within(self, budget: int) -> int:
        """Into how many bands of rows the grid is cut."""
        across = min(self.width, self.columns + 2 * self.reach) * self.columns
        for bands in range(1, self.height + 1):
            rows = -(-self.height // bands)
            keys = min(self.height, rows + 2 * self.reach)
            if keys * self._stored(rows) * across <= budget:
                return bands
        return self.height

    def _stored(self, rows: int) -> int:
        step = self._row_step()
        return min(-(-(2 * self.reach + 1) // step) * step, rows)

    def _row_step(self) -> int:
        return ALIGNMENT // math.gcd(self.columns, ALIGNMENT)

    def _band(self, top: int, bottom: int) -> RowBand:
        rows, reach = bottom - top, self.reach
        first_key = max(0, top - reach)
        last_key = min(self.height, bottom + reach)
        stored, step = self._stored(rows), self._row_step()
        keys = torch.arange(first_key, last_key)
        base = (keys - reach - top).clamp(0, rows - stored)
        spans = []
        for key, start in zip(keys.tolist(), base.tolist()):
            low = max(key - reach - top, 0) - start
            high = min(key + reach + 1 - top, rows) - start
            high = min(stored, low - (low - high) // step * step)
            spans.append(range(low, high))
        return RowBand(
            top,
            bottom,
            first_key,
            last_key,
            stored,
            base.tolist(),
            base.to(self._device),
            spans,
        )

    def _tile(self, band: RowBand, left: int, right: int) -> Tile:
        first_key = max(0, left - self.reach)
        last_key = min(self.width, right + self.reach)
        shape = (band.top, left - first_key, last_key - first_key)
        if shape not in self._near:
            self._near[shape] = self._within_radius(band, *shape[1:])
        return Tile(band, left, right, first_key, last_key, *self._near[shape])

    def _within_radius(self, band: RowBand, left: int, across: int):
        """``near`` and ``missing`` of tiles that have ``left`` key columns
        before their first query and ``across`` in all."""
        y = torch.arange(band.bottom - band.top)[:, None, None, None]
        x = torch.arange(self.columns)[:, None, None]
        v = torch.arange(band.last_key - band.first_key)[:, None]
        u = torch.arange(across)
        slot = y - band.bases.cpu()[:, None]
        near = ((v * across + u) * band.stored + slot) * self.columns + x
        near = near.flatten(0, 1).flatten(1)  # (H * X, V * U)
        if self._limit is None:
            return near.to(self._device), None
        dy = y + band.top - v - band.first_key
        dx = x + left - u
        inside = dy**2 + dx**2 < self._limit
        inside = inside.flatten(0, 1).flatten(1)
        most = int(inside.sum(dim=1).max())
        # Those inside first, in their order.
        missing, order = (~inside).byte().sort(dim=1, stable=True)
        missing = missing[:, :most].bool()
        near = near.gather(1, order[:, :most]).masked_fill_(missing, 0)
        if not missing.any():
            return near.to(self._device), None
        return near.to(self._device), missing.to(self._device)
