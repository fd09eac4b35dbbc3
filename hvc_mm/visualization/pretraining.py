"""What HVC pre-training sees in one image: pairs, matches, pseudo-flow.

C: channels, h w: feature grid of a view, H W: its size in pixels. Boxes are
``(x1, y1, x2, y2)`` in units of the image's last column and row. Pictures are
RGB.
"""

from __future__ import annotations

from typing import Sequence, Tuple

import numpy as np
import torch
from torch import Tensor

from hvc_mm.models.losses import find_positive_pairs

from .flow_color import flow_to_rgb
from .paired_views import (
    draw_matches,
    evenly,
    match_distance,
    nearest_cells,
)
from .panels import caption, side_by_side, stacked

# A match is called right within one diagonal of the larger cell.
_RIGHT_WITHIN = 1.0
_LEAST_SIDE = 192


def draw_positive_pairs(
    views: Sequence[np.ndarray],
    boxes: Sequence[Tensor],
    grid: Tuple[int, int],
    pos_radius: float = 0.1,
    most: int = 24,
) -> np.ndarray:
    """Join cells that the loss takes as the same place.

    Args:
        views: Two, uint8 ``(H, W, 3)``.
        boxes: Theirs, ``(4,)``.
        grid: ``(h, w)``.
        pos_radius: As in the loss.
        most: Pairs drawn, evenly spread over all; the caption tells how many
            there are.

    Returns:
        The views side by side.
    """
    pairs = find_positive_pairs(
        boxes[0][None], boxes[1][None], grid, pos_radius
    )
    total = len(pairs.query)
    shown = evenly(total, most)
    picture = draw_matches(
        *views, pairs.query[shown].tolist(), pairs.key[shown].tolist(), grid
    )
    text = f'positive pairs: {total}'
    return caption(picture, text + (f', {len(shown)} shown' if total else ''))


def draw_nearest_cells(
    views: Sequence[np.ndarray],
    boxes: Sequence[Tensor],
    query: Tensor,
    key: Tensor,
    most: int = 24,
) -> np.ndarray:
    """Join cells of view 1 with the most similar ones of view 2.

    Only cells whose place view 2 shows too are tried. A match is green when
    it is within one diagonal of the larger cell, and red otherwise.

    Args:
        views: Two, uint8 ``(H, W, 3)``.
        boxes: Theirs, ``(4,)``.
        query: ``(C, h, w)`` of view 1, of unit length in every cell.
        key: ``(C, h, w)`` of view 2, likewise.
        most: Matches drawn, evenly spread.

    Returns:
        The views side by side.
    """
    grid = tuple(query.shape[-2:])
    inside = _cells_inside(boxes[0], boxes[1], grid)
    cells = inside[evenly(len(inside), most)]
    matched = nearest_cells(query, key, cells)
    distance = match_distance(cells, matched, boxes[0], boxes[1], grid)
    right = (distance < _RIGHT_WITHIN).tolist()
    picture = draw_matches(
        *views, cells.tolist(), matched.tolist(), grid, right
    )
    return caption(
        picture, f'nearest features: {sum(right)} of {len(right)} right'
    )


def draw_pretraining_sample(
    views: Sequence[np.ndarray],
    boxes: Sequence[Tensor],
    query: Tensor,
    key: Tensor,
    flows: Sequence[Tensor],
    pos_radius: float = 0.1,
    most: int = 24,
) -> np.ndarray:
    """One image: positive pairs, matches, forward and backward field.

    Args:
        views: Two, uint8 ``(H, W, 3)``.
        boxes: Theirs, ``(4,)`` float.
        query: ``(C, h, w)`` prediction of view 1, of unit length.
        key: ``(C, h, w)`` target projection of view 2, of unit length.
        flows: Forward field F(query, key) and backward field F(key, query),
            ``(2, h, w)`` each.
        pos_radius: As in the loss.
        most: Pairs and matches drawn.

    Returns:
        The picture, three rows.
    """
    grid = tuple(query.shape[-2:])
    boxes = [torch.as_tensor(box, dtype=torch.float32) for box in boxes]
    views = [_legible(view) for view in views]
    size = views[0].shape[:2]
    pairs = draw_positive_pairs(views, boxes, grid, pos_radius, most)
    bar = np.full((size[0], pairs.shape[1] - 2 * size[1], 3), 32, np.uint8)
    fields = side_by_side(
        [flow_to_rgb(flows[0], size), bar, flow_to_rgb(flows[1], size)],
        ['forward pseudo-flow', '', 'backward pseudo-flow'],
    )
    matches = draw_nearest_cells(views, boxes, query, key, most)
    return stacked([pairs, matches, fields])


def _legible(view: np.ndarray) -> np.ndarray:
    """A small view enlarged, so that 24 lines have room on it."""
    factor = -(-_LEAST_SIDE // min(view.shape[:2]))
    return view.repeat(factor, 0).repeat(factor, 1)


def _cells_inside(box: Tensor, other: Tensor, grid: Tuple[int, int]) -> Tensor:
    """Cells of ``box`` whose centres lie in ``other``, ``(P,)`` int64."""
    x = _centres(box[0], box[2], grid[1])
    y = _centres(box[1], box[3], grid[0])
    in_x = (x >= other[0]) & (x <= other[2])
    in_y = (y >= other[1]) & (y <= other[3])
    return (in_y[:, None] & in_x[None]).flatten().nonzero()[:, 0]


def _centres(low: Tensor, high: Tensor, count: int) -> Tensor:
    return low + (torch.arange(count) + 0.5) * (high - low) / count
