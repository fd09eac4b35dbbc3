"""Pictures of what HVC sees in one image: crops, pairs, matches, pseudo-flow.

C: channels, h w: feature grid of a view, whose cells are counted row by row;
H W: size of a view in pixels; P: pairs. Boxes are ``(x1, y1, x2, y2)`` in
units of the image's last column and row. Pictures are RGB.
"""

from __future__ import annotations

from colorsys import hsv_to_rgb
from typing import List, Sequence, Tuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torchvision.utils import draw_bounding_boxes, flow_to_image

from hvc_mm.models.losses import find_positive_pairs

from .panels import caption, side_by_side

VIEW_COLORS = ((255, 96, 48), (48, 160, 255))
_RIGHT, _WRONG = (64, 224, 64), (240, 48, 48)
# A match is right within this many diagonals of the larger cell, the unit of
# the loss's `pos_radius`.
_RIGHT_WITHIN = 1.0
# Pixels along a view's shorter side, so that 24 lines have room on it, and
# between two views.
_LEAST_SIDE = 192
_GAP = 16


def draw_crops(image: np.ndarray, boxes: Sequence[np.ndarray]) -> np.ndarray:
    """Draw the views' boxes on a copy of their image, orange and blue."""
    height, width = image.shape[:2]
    size = torch.tensor([width - 1, height - 1] * 2)
    drawn = draw_bounding_boxes(
        torch.from_numpy(image).permute(2, 0, 1),
        torch.stack([torch.as_tensor(box) for box in boxes]) * size,
        colors=list(VIEW_COLORS),
        width=max(2, min(height, width) // 100),
    )
    return drawn.permute(1, 2, 0).numpy()


def draw_positive_pairs(
    views: Sequence[np.ndarray],
    boxes: Sequence[Tensor],
    grid: Tuple[int, int],
    pos_radius: float = 0.1,
    most: int = 24,
) -> np.ndarray:
    """Draw lines between cells that the loss takes as the same place.

    Args:
        views: Two, uint8 ``(H, W, 3)``.
        boxes: Theirs, ``(4,)``.
        grid: ``(h, w)``.
        pos_radius: As in the loss.
        most: Pairs drawn, evenly spread over all; the caption says how many
            there are.

    Returns:
        The views side by side, uint8 ``(H + caption, 2 W + gap, 3)``.
    """
    query, key = _pairs_within(boxes, grid, pos_radius)
    shown = _evenly(len(query), most)
    picture = _draw_matches(
        views,
        query[shown],
        key[shown],
        grid,
        [_hue(int(cell) / (grid[0] * grid[1])) for cell in query[shown]],
    )
    text = f'positive pairs: {len(query)}'
    if len(query):
        text += f', {len(shown)} shown'
    return caption(picture, text)


def draw_nearest_cells(
    views: Sequence[np.ndarray],
    boxes: Sequence[Tensor],
    query: Tensor,
    key: Tensor,
    most: int = 24,
) -> np.ndarray:
    """Draw lines from cells of view 1 to the most similar ones of view 2.

    Only cells whose place view 2 shows too are tried. A match is green when
    it is within one diagonal of the larger cell, and red otherwise.

    Args:
        views: Two, uint8 ``(H, W, 3)``.
        boxes: Theirs, ``(4,)``.
        query: ``(C, h, w)`` of view 1, of unit length in every cell.
        key: ``(C, h, w)`` of view 2, likewise.
        most: Matches drawn, evenly spread.

    Returns:
        The views side by side, uint8 ``(H + caption, 2 W + gap, 3)``.
    """
    grid = tuple(query.shape[-2:])
    allowed = torch.stack(_pairs_within(boxes, grid, _RIGHT_WITHIN), 1)
    # A place that view 2 shows is within half a diagonal of a cell there.
    cells = _pairs_within(boxes, grid, 0.5)[0].unique()
    cells = cells[_evenly(len(cells), most)]
    rows = query.flatten(1)[:, cells.to(query.device)]
    found = (rows.T @ key.flatten(1)).argmax(1).cpu()
    chosen = torch.stack([cells, found], 1)
    right = (chosen[:, None] == allowed).all(-1).any(1).tolist()
    colors = [_RIGHT if is_right else _WRONG for is_right in right]
    picture = _draw_matches(views, cells, found, grid, colors)
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
    """Draw one image: positive pairs, matches, forward and backward field.

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
        The picture, three rows, uint8 RGB.
    """
    boxes = [torch.as_tensor(box, dtype=torch.float32) for box in boxes]
    factor = -(-_LEAST_SIDE // min(views[0].shape[:2]))
    views = [view.repeat(factor, 0).repeat(factor, 1) for view in views]
    size = views[0].shape[:2]
    grid = tuple(query.shape[-2:])
    bar = np.full((size[0], _GAP, 3), 32, np.uint8)
    forward, backward = (flow_to_rgb(flow, size) for flow in flows)
    fields = side_by_side(
        [forward, bar, backward],
        ['forward pseudo-flow', '', 'backward pseudo-flow'],
    )
    return np.concatenate(
        [
            draw_positive_pairs(views, boxes, grid, pos_radius, most),
            draw_nearest_cells(views, boxes, query, key, most),
            fields,
        ]
    )


def flow_to_rgb(flow: Tensor, size: Tuple[int, int]) -> np.ndarray:
    """Show a field: the hue is its direction, the saturation its length.

    Lengths are relative to the longest vector of the field; white is 0.
    HVC's pseudo-flow has no unit, and its loss sees the direction alone.

    Args:
        flow: ``(2, h, w)``, x and y.
        size: ``(H, W)`` of the picture; cells become even squares.

    Returns:
        uint8 ``(H, W, 3)``.
    """
    # torchvision knows single precision only.
    rgb = flow_to_image(flow.detach().float().cpu()).permute(1, 2, 0).numpy()
    return cv2.resize(rgb, size[::-1], interpolation=cv2.INTER_NEAREST)


def _pairs_within(
    boxes: Sequence[Tensor], grid: Tuple[int, int], radius: float
) -> Tuple[Tensor, Tensor]:
    """Cells of view 1 and of view 2 nearer than ``radius``, ``(P,)`` each."""
    pairs = find_positive_pairs(boxes[0][None], boxes[1][None], grid, radius)
    return pairs.query, pairs.key


def _draw_matches(
    views: Sequence[np.ndarray],
    query: Tensor,
    key: Tensor,
    grid: Tuple[int, int],
    colors: Sequence[Tuple[int, int, int]],
) -> np.ndarray:
    """Draw lines from cells ``(P,)`` of view 1 to those of view 2."""
    height, width = views[0].shape[:2]
    bar = np.full((height, _GAP, 3), 32, np.uint8)
    out = np.concatenate([views[0], bar, views[1]], axis=1)
    ends = []
    for cells, left in ((query, 0), (key, width + _GAP)):
        x = left + (cells % grid[1] + 0.5) * width / grid[1]
        y = (cells // grid[1] + 0.5) * height / grid[0]
        ends.append(torch.stack([x, y], 1).int().tolist())
    for start, end, color in zip(*ends, colors):
        cv2.line(out, start, end, color, 1, cv2.LINE_AA)
        for point in (start, end):
            cv2.circle(out, point, 4, (0, 0, 0), -1, cv2.LINE_AA)
            cv2.circle(out, point, 3, color, -1, cv2.LINE_AA)
    return out


def _evenly(count: int, most: int) -> List[int]:
    """Choose at most ``most`` of ``count`` indices, evenly, in order."""
    at = np.linspace(0, count - 1, min(count, most)).astype(int)
    return np.unique(at).tolist()


def _hue(share: float) -> Tuple[int, int, int]:
    return tuple(round(255 * c) for c in hsv_to_rgb(share, 1, 1))
