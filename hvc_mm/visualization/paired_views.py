"""Two crops of one image, and which of their cells belong together.

h w: feature grid of a view, cells counted row by row; C: channels; P: pairs.
Boxes are ``(x1, y1, x2, y2)`` in units of the image's last column and row.
Pictures are RGB.
"""

from __future__ import annotations

from typing import Optional, Sequence, Tuple

import cv2
import numpy as np
import torch
from torch import Tensor

VIEW_COLORS = ((255, 96, 48), (48, 160, 255))


def draw_crops(image: np.ndarray, boxes: Sequence[np.ndarray]) -> np.ndarray:
    """Draw the views' boxes on their image, the first orange, then blue.

    Args:
        image: uint8 ``(H, W, 3)``.
        boxes: Two boxes ``(4,)``.

    Returns:
        A new image.
    """
    out = image.copy()
    height, width = image.shape[:2]
    thick = max(2, min(height, width) // 150)
    for box, color in zip(boxes, VIEW_COLORS):
        x1, y1, x2, y2 = (
            int(round(float(v) * unit))
            for v, unit in zip(box, (width - 1, height - 1) * 2)
        )
        cv2.rectangle(out, (x1, y1), (x2, y2), (0, 0, 0), thick + 2)
        cv2.rectangle(out, (x1, y1), (x2, y2), color, thick)
    return out


def draw_matches(
    view1: np.ndarray,
    view2: np.ndarray,
    query_cells: Sequence[int],
    key_cells: Sequence[int],
    grid: Tuple[int, int],
    right: Optional[Sequence[bool]] = None,
    gap: int = 16,
) -> np.ndarray:
    """Put two views side by side and join their matched cells by lines.

    Args:
        view1: uint8 ``(H, W, 3)``.
        view2: The same size.
        query_cells: P cells of view 1.
        key_cells: P cells of view 2.
        grid: ``(h, w)``.
        right: Which matches are right: those are green, the others red. By
            default each line has a hue of its own, by its place in view 1.
        gap: Pixels between the views.

    Returns:
        uint8 ``(H, 2 W + gap, 3)``.
    """
    height, width = view1.shape[:2]
    bar = np.full((height, gap, 3), 32, np.uint8)
    out = np.concatenate([view1, bar, view2], axis=1)
    for i, (query, key) in enumerate(zip(query_cells, key_cells)):
        start = _centre(int(query), grid, (height, width))
        end = _centre(int(key), grid, (height, width))
        end = (end[0] + width + gap, end[1])
        if right is None:
            color = _hue(int(query) / (grid[0] * grid[1]))
        else:
            color = (64, 224, 64) if right[i] else (240, 48, 48)
        cv2.line(out, start, end, color, 1, cv2.LINE_AA)
        for point in (start, end):
            cv2.circle(out, point, 4, (0, 0, 0), -1, cv2.LINE_AA)
            cv2.circle(out, point, 3, color, -1, cv2.LINE_AA)
    return out


def nearest_cells(query: Tensor, key: Tensor, cells: Tensor) -> Tensor:
    """Where cells of one view find their like in the other.

    Args:
        query: ``(C, h, w)``, of unit length in every cell.
        key: ``(C, h, w)``, likewise.
        cells: ``(P,)`` int64, cells of the query.

    Returns:
        ``(P,)`` int64, for each the key's cell of greatest dot product.
    """
    rows = query.flatten(1)[:, cells.to(query.device)]
    return (rows.T @ key.flatten(1)).argmax(1).cpu()


def match_distance(
    query_cells: Tensor,
    key_cells: Tensor,
    query_box: Tensor,
    key_box: Tensor,
    grid: Tuple[int, int],
) -> Tensor:
    """How far matched cells lie apart in the image.

    Args:
        query_cells: ``(P,)`` int64.
        key_cells: ``(P,)`` int64.
        query_box: ``(4,)``.
        key_box: ``(4,)``.
        grid: ``(h, w)``.

    Returns:
        ``(P,)``, distances of the cells' centres in units of the larger of
        the two cells' diagonals: the measure of the loss's positive pairs.
    """
    centres, diagonals = [], []
    for cells, box in ((query_cells, query_box), (key_cells, key_box)):
        x1, y1, x2, y2 = box.tolist()
        size = torch.tensor([(x2 - x1) / grid[1], (y2 - y1) / grid[0]])
        place = torch.stack([cells % grid[1], cells // grid[1]], 1) + 0.5
        centres.append(place * size + torch.tensor([x1, y1]))
        diagonals.append(size.norm())
    return (centres[0] - centres[1]).norm(dim=1) / max(diagonals)


def evenly(count: int, most: int) -> np.ndarray:
    """At most ``most`` of ``count`` indices, evenly spread, in order."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(int))


def _centre(
    cell: int, grid: Tuple[int, int], size: Tuple[int, int]
) -> Tuple[int, int]:
    row, column = divmod(cell, grid[1])
    x = (column + 0.5) * size[1] / grid[1]
    y = (row + 0.5) * size[0] / grid[0]
    return int(x), int(y)


def _hue(share: float) -> Tuple[int, int, int]:
    pixel = np.uint8([[[int(share * 179), 255, 255]]])
    return tuple(int(c) for c in cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0])
