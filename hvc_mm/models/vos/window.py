"""Define the window of cells that a query may match, and cut grids by it.

`in_window` is the rule, and the only place that knows it. `cut_tiles` makes
of it what the search needs: rectangles of queries, the key cells within
their reach, and a table of those in each query's window. A window of another
shape is another table.

h w: grid; of a tile, H X: query rows and columns, V U: key rows and columns
in reach, J: query rows stored per key row, D: most key cells in a window.
"""

from __future__ import annotations

import math
from typing import List, NamedTuple, Optional, Tuple

import torch
from torch import Tensor

__all__ = [
    'Tile',
    'Window',
    'cut_tiles',
    'half_widths',
    'holds_grid',
    'in_window',
]

# Matrix kernels are slower where a width is no multiple of 16: by a twentieth
# to a third, on the CPUs that were measured.
ALIGNMENT = 16


class Window(NamedTuple):
    """The cells of another frame that a cell may match.

    Attributes:
        radius: In cells of the grid at hand, > 0; None: no limit.
        shape: ``'disc'``: the Euclidean distance counts; ``'square'``: the
            larger one of the rows and the columns between the cells.
        with_edge: Whether a cell at exactly the radius is in the window.
    """

    radius: Optional[float]
    shape: str = 'disc'
    with_edge: bool = False


def in_window(dy: Tensor, dx: Tensor, window: Window) -> Tensor:
    """Tell which offsets between two cells are within the window.

    Args:
        dy: Rows between the cells, integers of any shape.
        dx: Columns between them, of a shape that broadcasts with it.
        window: Its shape and size.

    Returns:
        Bool of the common shape.
    """
    radius = math.inf if window.radius is None else float(window.radius)
    # In float64 the squares of integers are exact, and so is the border of
    # an integer radius.
    if window.shape == 'square':
        squares = torch.maximum(*torch.broadcast_tensors(dy * dy, dx * dx))
    else:
        squares = dy * dy + dx * dx
    squares, limit = squares.double(), radius**2
    return squares <= limit if window.with_edge else squares < limit


def holds_grid(window: Window, height: int, width: int) -> bool:
    """Tell whether any cell of a grid may match any other, though a radius
    is set.

    Args:
        window: Its shape and size.
        height: Rows of the grid.
        width: Its columns.
    """
    corners = torch.tensor([height - 1, width - 1])
    return window.radius is not None and bool(in_window(*corners, window))


def half_widths(height: int, width: int, window: Window) -> Tensor:
    """Give a window as a list, for kernels: how far it reaches in each row.

    Args:
        height: Of the grid.
        width: Likewise.
        window: The window.

    Returns:
        By distance in rows, as long as a cell is in the window: the greatest
        distance in columns, int64.
    """
    rows, columns = torch.arange(height), torch.arange(width)
    inside = in_window(rows[:, None], columns, window).sum(dim=1)
    return inside[inside > 0] - 1


class Tile(NamedTuple):
    """A rectangle of queries and the key cells in its reach.

    Scores of one frame are kept as ``(V, U, J, X)``: per key row only those
    J query rows that it can reach. With query rows 0 to 39 and a reach of 2,
    key row 20 meets query rows 18 to 22; where J is 8 their scores are in
    the first five of the rows from 18 on (``first`` is 18, ``spans`` is
    ``range(0, 5)`` or longer), and the rest is never read.

    Attributes:
        rows: Query rows of the grid.
        columns: Query columns.
        key_rows: Key rows in reach.
        key_columns: Key columns in reach.
        stored: J.
        spans: Per key row, which of its J stored query rows to compute.
        first: Per key row the query row (counted from the tile's first)
            that its first stored score belongs to, ``(V,)``.
        near: Per query the key cells in its window, as indices of the
            scores ``(V, U, J, X)`` of one frame, ``(H * X, D)``.
        missing: Where a query has fewer than D, ``(H * X, D)`` bool; None
            where all have D.
    """

    rows: slice
    columns: slice
    key_rows: slice
    key_columns: slice
    stored: int
    spans: List[range]
    first: Tensor
    near: Tensor
    missing: Optional[Tensor]


def cut_tiles(
    grid: Tuple[int, int],
    window: Window,
    columns: int,
    budget: int,
    device: torch.device,
) -> List[Tile]:
    """Cut a grid into tiles that cover it.

    Args:
        grid: ``(h, w)``.
        window: Its shape and size.
        columns: Query columns of a tile.
        budget: Most scores ``V * U * J * X`` of a tile for one frame; limits
            its rows.
        device: Of the tables.

    Returns:
        Tiles. The last one of a row of tiles may overlap the one before, so
        that all are of one shape.
    """
    height, width = grid
    columns = min(columns, width)
    offsets = torch.arange(max(grid))
    # A window is widest along the axes.
    reach = int(in_window(offsets, 0 * offsets, window).nonzero().max())
    across = min(width, columns + 2 * reach) * columns
    bands = _count_bands(height, columns, reach, budget // across)
    tiles, tables = [], {}
    for i in range(bands):
        rows = range(height * i // bands, height * (i + 1) // bands)
        key_rows, stored, first, spans = _cut_band(
            rows, height, columns, reach
        )
        for left in range(0, width, columns):
            left = min(left, width - columns)
            x = range(left, left + columns)
            u = range(max(0, left - reach), min(width, x.stop + reach))
            axes = (rows, x, key_rows, u)
            # Most tiles differ by a shift alone and share their tables.
            shape = (i, left - u.start, len(u))
            if shape not in tables:
                near, missing = _tabulate(*axes, stored, first, window)
                tables[shape] = [
                    None
                    if table is None
                    else table.to(device, non_blocking=True)
                    for table in (first, near, missing)
                ]
            slices = [slice(axis.start, axis.stop) for axis in axes]
            tiles.append(Tile(*slices, stored, spans, *tables[shape]))
    return tiles


def _stored_rows(rows: int, columns: int, reach: int) -> int:
    """Round the query rows that a key row can reach up for the kernels."""
    step = ALIGNMENT // math.gcd(columns, ALIGNMENT)
    return min(-(-(2 * reach + 1) // step) * step, rows)


def _count_bands(height: int, columns: int, reach: int, budget: int) -> int:
    """Count the bands of rows that keep ``V * J`` within a budget."""
    for bands in range(1, height):
        rows = -(-height // bands)
        keys = min(height, rows + 2 * reach)
        if keys * _stored_rows(rows, columns, reach) <= budget:
            return bands
    return height


def _cut_band(
    rows: range, height: int, columns: int, reach: int
) -> Tuple[range, int, Tensor, List[range]]:
    """Find ``key_rows``, ``stored``, ``first`` and ``spans`` of a tile."""
    count = rows.stop - rows.start
    keys = range(max(0, rows.start - reach), min(height, rows.stop + reach))
    stored = _stored_rows(count, columns, reach)
    step = ALIGNMENT // math.gcd(columns, ALIGNMENT)
    first, spans = [], []
    for key in keys:
        low = max(key - reach - rows.start, 0)
        high = min(key + reach + 1 - rows.start, count)
        start = min(low, count - stored)
        first.append(start)
        # Rounded up as well, as far as there are rows.
        length = min(-(-(high - low) // step) * step, stored - low + start)
        spans.append(range(low - start, low - start + length))
    return keys, stored, torch.tensor(first), spans


def _tabulate(
    rows: range,
    columns: range,
    key_rows: range,
    key_columns: range,
    stored: int,
    first: Tensor,
    window: Window,
) -> Tuple[Tensor, Optional[Tensor]]:
    """Compute ``near`` and ``missing`` of a tile."""
    axes = (rows, columns, key_rows, key_columns)
    y, x, v, u = torch.meshgrid(
        *(torch.arange(axis.start, axis.stop) for axis in axes), indexing='ij'
    )
    inside = in_window(y - v, x - u, window).flatten(0, 1).flatten(1)
    key = (v - key_rows.start) * len(key_columns) + u - key_columns.start
    slot = y - rows.start - first[v - key_rows.start]
    near = (key * stored + slot) * len(columns) + x - columns.start
    near = near.flatten(0, 1).flatten(1)  # (H * X, V * U)
    if inside.all():
        return near, None
    most = int(inside.sum(dim=1).max())
    # Those inside first, in their order.
    missing, order = (~inside).byte().sort(dim=1, stable=True)
    missing = missing[:, :most].bool()
    near = near.gather(1, order[:, :most]).masked_fill_(missing, 0)
    return near, missing if missing.any() else None
