"""Find the cells of two crops of one image that show the same place.

N: samples, P: positive pairs of the whole batch, h w: feature grid, X Y:
candidates of one axis. Boxes are ``(x1, y1, x2, y2)`` of the crops in their
image; each crop is divided into h x w cells.

A pair is positive when the distance of its cells' centres, over the larger of
the two cells' diagonals, is below a radius (HVC, arXiv 2404.13505). Under
random resized crops that is some 50 of the 1024 x 1024 pairs of a 32 x 32
grid, so they are listed without ever looking at the others.
"""

from __future__ import annotations

from typing import NamedTuple, Tuple

import torch
from torch import Tensor

# Squared offsets of one axis may exceed the squared reach by rounding only.
_SLACK = 1 + 1e-5


class PositivePairs(NamedTuple):
    """List the positive pairs of a batch.

    Cells are counted row by row, ``row * w + column``.

    Attributes:
        sample: ``(P,)`` int64, which sample a pair belongs to; ascending.
        query: ``(P,)`` int64, its cell in the query's grid.
        key: ``(P,)`` int64, its cell in the key's grid.
        weight: ``(P,)`` float64, ``1 / (N (count + 1e-6))`` of its sample:
            the sum over pairs with these weights is the mean over samples of
            each one's mean over its pairs, where a sample without pairs
            adds 0.
        count: ``(N,)`` int64, pairs per sample.
    """

    sample: Tensor
    query: Tensor
    key: Tensor
    weight: Tensor
    count: Tensor

    def transposed(self) -> PositivePairs:
        """Swap query and key; nothing is computed."""
        return self._replace(query=self.key, key=self.query)

    def to(self, device: torch.device) -> PositivePairs:
        """Copy the pairs to ``device`` without waiting for a GPU's queue."""
        if torch.device(device).type == 'cuda' and not self.sample.is_cuda:
            pinned = (
                part.pin_memory() if len(part) else part for part in self
            )
            return PositivePairs(
                *(part.to(device, non_blocking=True) for part in pinned)
            )
        return PositivePairs(*(part.to(device) for part in self))


def find_positive_pairs(
    query_box: Tensor,
    key_box: Tensor,
    grid: Tuple[int, int],
    pos_radius: float = 0.1,
) -> PositivePairs:
    """List the positive pairs of each sample, exactly, for any radius.

    Squared distances separate into an x and a y part. Each axis keeps the
    index pairs that are near enough on their own; only the product of the
    two short lists is tried with the full distance, in the same operations
    (and so the same rounding) as the dense mask.

    The work is done on the boxes' device. Made from the data loader's CPU
    boxes, the list costs no GPU synchronisation.

    Args:
        query_box: ``(N, 4)``, any unit that both boxes share.
        key_box: ``(N, 4)``.
        grid: ``(h, w)`` of both feature maps.
        pos_radius: Distance bound in larger cell diagonals, > 0; exclusive.

    Returns:
        The pairs, ordered by sample.

    Raises:
        ValueError: Boxes that are not ``(N, 4)`` or are empty, a radius
            that is not positive, a grid without cells.
    """
    check_boxes(query_box, key_box, pos_radius)
    height, width = grid
    if height < 1 or width < 1:
        raise ValueError(f'expected a grid of >= 1 x 1 cells, got {grid}')
    offset_x, offset_y, diagonal = _separate(query_box, key_box, grid)
    reach = ((pos_radius * diagonal) ** 2 * _SLACK)[:, None, None]
    near_x, near_y = offset_x <= reach, offset_y <= reach
    count_x, count_y = near_x.sum((1, 2)), near_y.sum((1, 2))
    candidates = count_x * count_y

    # The ragged product: a candidate's rank within its sample tells which
    # entries of that sample's x list and y list it pairs.
    sample = torch.repeat_interleave(candidates)
    rank = torch.arange(len(sample), device=sample.device)
    rank = rank - _starts(candidates)[sample]
    row_length = count_x[sample]
    at_y = torch.div(rank, row_length, rounding_mode='floor')
    at_x = rank - at_y * row_length + _starts(count_x)[sample]
    at_y = at_y + _starts(count_y)[sample]
    _, query_col, key_col = near_x.nonzero()[at_x].unbind(1)
    _, query_row, key_row = near_y.nonzero()[at_y].unbind(1)
    squared = (
        offset_x[sample, query_col, key_col]
        + offset_y[sample, query_row, key_row]
    )
    kept = (squared.sqrt() / diagonal[sample] < pos_radius).nonzero()[:, 0]

    sample = sample[kept]
    count = torch.bincount(sample, minlength=len(query_box))
    weight = 1 / (len(query_box) * (count.double() + 1e-6))
    return PositivePairs(
        sample=sample,
        query=(query_row * width + query_col)[kept],
        key=(key_row * width + key_col)[kept],
        weight=weight[sample],
        count=count,
    )


def check_maps(
    query: Tensor,
    key: Tensor,
    flow_forward: Tensor,
    flow_backward: Tensor,
    query_box: Tensor,
) -> None:
    """Refuse maps that the hybrid loss can't pair.

    Query and key are ``(N, C, h, w)``, the fields ``(N, 2, h, w)``, the box
    ``(N, 4)``.

    Raises:
        ValueError: Says what was found and what was expected.
    """
    if query.dim() != 4 or query.shape != key.shape or not query.numel():
        raise ValueError(
            'expected query and key of one shape (N, C, h, w), got '
            f'{tuple(query.shape)} and {tuple(key.shape)}'
        )
    samples, _, height, width = query.shape
    flow = samples, 2, height, width
    if flow_forward.shape != flow or flow_backward.shape != flow:
        raise ValueError(
            f'expected flow fields {flow}, got '
            f'{tuple(flow_forward.shape)} and {tuple(flow_backward.shape)}'
        )
    if query_box.dim() > 0 and len(query_box) != samples:
        raise ValueError(
            f'expected one box for each of {samples} samples, got boxes '
            f'{tuple(query_box.shape)}'
        )


def check_boxes(query_box: Tensor, key_box: Tensor, pos_radius: float) -> None:
    """Refuse boxes ``(N, 4)`` and radii that give no meaningful pairs.

    Raises:
        ValueError: Says what was found and what was expected.
    """
    if not pos_radius > 0:
        raise ValueError(f'expected pos_radius > 0, got {pos_radius}')
    shapes = tuple(query_box.shape), tuple(key_box.shape)
    if shapes[0] != shapes[1] or len(shapes[0]) != 2 or shapes[0][1] != 4:
        raise ValueError(
            'expected query and key boxes of one shape (N, 4), got '
            f'{shapes[0]} and {shapes[1]}'
        )
    for name, box in (('query', query_box), ('key', key_box)):
        # A crop one pixel wide has no width in these units; that is a crop
        # as any other, its cells are on a line.
        whole = (box[:, 2:] >= box[:, :2]).all(1) & box.isfinite().all(1)
        if not whole.all():
            worst = int((~whole).nonzero()[0, 0])
            raise ValueError(
                f'expected {name} boxes (x1, y1, x2, y2) with x2 >= x1 and '
                f'y2 >= y1, got {box[worst].tolist()} for sample {worst}'
            )


def _separate(
    query_box: Tensor, key_box: Tensor, grid: Tuple[int, int]
) -> Tuple[Tensor, Tensor, Tensor]:
    """Compute what makes up the distances: two short axes and a unit.

    Returns:
        Squared offsets ``(N, w, w)`` in x and ``(N, h, h)`` in y, query by
        key, and the larger cell diagonals ``(N,)``.
    """
    query_box, key_box = _as_float(query_box), _as_float(key_box)
    return (
        _squared_offsets(query_box, key_box, 0, grid[1]),
        _squared_offsets(query_box, key_box, 1, grid[0]),
        torch.maximum(_diagonal(query_box, grid), _diagonal(key_box, grid)),
    )


def _as_float(box: Tensor) -> Tensor:
    """Take fp32, as the dense form does; keep fp64 for exact checks."""
    return box.detach().to(
        torch.float64 if box.dtype == torch.float64 else torch.float32
    )


def _diagonal(box: Tensor, grid: Tuple[int, int]) -> Tensor:
    """Compute the length of a cell's diagonal, ``(N, 4)`` -> ``(N,)``."""
    width = (box[:, 2] - box[:, 0]) / grid[1]
    height = (box[:, 3] - box[:, 1]) / grid[0]
    return (width**2 + height**2).sqrt()


def _squared_offsets(
    query_box: Tensor, key_box: Tensor, axis: int, cells: int
) -> Tensor:
    """Square the distances of cell centres along one axis, (N, q, k)."""
    index = torch.arange(cells, device=query_box.device) + 0.5
    centres = (
        index.to(box) * ((box[:, axis + 2] - box[:, axis]) / cells)[:, None]
        + box[:, axis, None]
        for box in (query_box, key_box)
    )
    of_query, of_key = centres
    return (of_query[:, :, None] - of_key[:, None, :]) ** 2


def _starts(count: Tensor) -> Tensor:
    """Index each sample's first entry, ``(N,)`` as the counts, in a list
    ordered by sample."""
    return count.cumsum(0) - count
