"""The hybrid loss straight from its formula, over all pairs of cells.

N: samples, C: channels, h w: feature grid, A = h w: cells of a map.

This form is the oracle of the tests and what the benchmark compares with.
Training uses :func:`~hvc_mm.models.losses.hybrid_correspondence_loss` at every
radius, which gives the same from the positive pairs alone.
"""

from __future__ import annotations

from typing import Optional, Tuple

import torch
from torch import Tensor
from torch.nn import functional as F

from .positive_pairs import check_boxes, check_maps


def dense_positive_mask(
    query_box: Tensor,
    key_box: Tensor,
    grid: Tuple[int, int],
    pos_radius: float = 0.1,
) -> Tensor:
    """Find the positive pairs of cells as a mask.

    Args:
        query_box: ``(N, 4)``, ``(x1, y1, x2, y2)``.
        key_box: ``(N, 4)``.
        grid: ``(h, w)`` of both maps.
        pos_radius: Bound, exclusive, on the distance of the cells' centres
            in units of the larger of the two cells' diagonals.

    Returns:
        ``(N, A, A)`` bool, query cells by key cells, each row by row.

    Raises:
        ValueError: Boxes that are not ``(N, 4)`` or are empty, a radius
            that is not positive.
    """
    check_boxes(query_box, key_box, pos_radius)
    return _distance(query_box, key_box, grid) < pos_radius


def dense_hybrid_loss(
    query: Tensor,
    key: Tensor,
    flow_forward: Tensor,
    flow_backward: Tensor,
    query_box: Tensor,
    key_box: Tensor,
    pos_radius: float = 0.1,
    chunk: Optional[int] = None,
) -> Tuple[Tensor, Tensor]:
    """Compute both terms from dense ``(chunk, A, A)`` matrices.

    Args:
        query: ``(N, C, h, w)``, L2-normalised over C.
        key: ``(N, C, h, w)``, L2-normalised over C.
        flow_forward: ``(N, 2, h, w)``, raw; normalised here.
        flow_backward: ``(N, 2, h, w)``, raw; normalised here.
        query_box: ``(N, 4)``, ``(x1, y1, x2, y2)``.
        key_box: ``(N, 4)``.
        pos_radius: See :func:`dense_positive_mask`.
        chunk: Samples handled at a time; all of them by default.

    Returns:
        ``(static, dynamic)``, scalars in [-2, 2] that hold the factor -2.

    Raises:
        ValueError: Shapes that do not fit, bad boxes or radius.
    """
    check_maps(query, key, flow_forward, flow_backward, query_box)
    check_boxes(query_box, key_box, pos_radius)
    samples, _, height, width = query.shape
    forward = F.normalize(flow_forward, dim=1)
    backward = F.normalize(flow_backward, dim=1)
    static, dynamic = [], []
    for start in range(0, samples, chunk or samples):
        part = slice(start, start + (chunk or samples))
        distance = _distance(query_box[part], key_box[part], (height, width))
        positive = (distance < pos_radius).to(query)
        static.append(_pair_mean(query[part], key[part], positive))
        dynamic.append(_pair_mean(forward[part], backward[part], positive))
    return -2 * torch.cat(static).mean(), -2 * torch.cat(dynamic).mean()


def _distance(
    query_box: Tensor, key_box: Tensor, grid: Tuple[int, int]
) -> Tensor:
    """Compute distances of cell centres in larger diagonals, (N, A, A)."""
    x_q, y_q, diagonal_q = _cells(query_box, grid)
    x_k, y_k, diagonal_k = _cells(key_box, grid)
    distance = torch.sqrt(
        (x_q[:, :, None] - x_k[:, None, :]) ** 2
        + (y_q[:, :, None] - y_k[:, None, :]) ** 2
    )
    larger = torch.maximum(diagonal_q, diagonal_k)
    return distance / larger[:, None, None]


def _cells(
    box: Tensor, grid: Tuple[int, int]
) -> Tuple[Tensor, Tensor, Tensor]:
    """Give cell centres ``(N, A)`` in x and y, and diagonals ``(N,)``."""
    height, width = grid
    x1, y1, x2, y2 = box[:, :, None].unbind(1)
    cell_width, cell_height = (x2 - x1) / width, (y2 - y1) / height
    cell = torch.arange(height * width, device=box.device)
    x = (cell % width + 0.5).to(box) * cell_width + x1
    row = torch.div(cell, width, rounding_mode='floor')
    y = (row + 0.5).to(box) * cell_height + y1
    return x, y, torch.sqrt(cell_width**2 + cell_height**2)[:, 0]


def _pair_mean(query: Tensor, key: Tensor, positive: Tensor) -> Tensor:
    """Average ``<q_a, k_b>`` over each sample's positive (a, b), (N,)."""
    product = torch.bmm(query.flatten(2).transpose(1, 2), key.flatten(2))
    return (product * positive).sum((1, 2)) / (positive.sum((1, 2)) + 1e-6)
