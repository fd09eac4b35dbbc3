"""The hybrid loss straight from its formula, over all pairs of bins.

N: samples, C: channels, h w: feature grid, A = h w: bins of a map.

This form is the oracle of the tests, the other side of the benchmark, and
what is used when a large radius makes most pairs positive. Training uses
:func:`~hvc_mm.models.losses.hybrid_correspondence_loss`, which gives the same
from the few positive pairs alone.
"""

from __future__ import annotations

from typing import Optional, Tuple

import torch
from torch import Tensor
from torch.nn import functional as F

from .positive_pairs import check_boxes


def dense_positive_mask(
    query_box: Tensor,
    key_box: Tensor,
    grid: Tuple[int, int],
    pos_radius: float = 0.1,
) -> Tensor:
    """Which pairs of bins are positive.

    Args:
        query_box: ``(N, 4)``, ``(x1, y1, x2, y2)``.
        key_box: ``(N, 4)``.
        grid: ``(h, w)`` of both maps.
        pos_radius: Bound, exclusive, on the distance of the bins' centres
            in units of the larger of the two bins' diagonals.

    Returns:
        ``(N, A, A)`` bool, query bins by key bins, each row by row.

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
    """Static and dynamic term from dense ``(chunk, A, A)`` matrices.

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
    check_hybrid_inputs(query, key, flow_forward, flow_backward, query_box)
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


def check_hybrid_inputs(
    query: Tensor,
    key: Tensor,
    flow_forward: Tensor,
    flow_backward: Tensor,
    query_box: Tensor,
) -> None:
    """Refuse maps that the hybrid loss can't pair.

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


def _distance(
    query_box: Tensor, key_box: Tensor, grid: Tuple[int, int]
) -> Tensor:
    """Distances of bin centres in larger bin diagonals, ``(N, A, A)``."""
    x_q, y_q, diagonal_q = _bins(query_box, grid)
    x_k, y_k, diagonal_k = _bins(key_box, grid)
    distance = torch.sqrt(
        (x_q[:, :, None] - x_k[:, None, :]) ** 2
        + (y_q[:, :, None] - y_k[:, None, :]) ** 2
    )
    larger = torch.maximum(diagonal_q, diagonal_k)
    return distance / larger[:, None, None]


def _bins(box: Tensor, grid: Tuple[int, int]) -> Tuple[Tensor, Tensor, Tensor]:
    """Bin centres ``(N, A)`` in x and y, and bin diagonals ``(N,)``."""
    height, width = grid
    x1, y1, x2, y2 = box[:, :, None].unbind(1)
    bin_width, bin_height = (x2 - x1) / width, (y2 - y1) / height
    cell = torch.arange(height * width, device=box.device)
    x = (cell % width + 0.5).to(box) * bin_width + x1
    row = torch.div(cell, width, rounding_mode='floor')
    y = (row + 0.5).to(box) * bin_height + y1
    return x, y, torch.sqrt(bin_width**2 + bin_height**2)[:, 0]


def _pair_mean(query: Tensor, key: Tensor, positive: Tensor) -> Tensor:
    """Per sample, the mean of ``<q_a, k_b>`` over positive (a, b)."""
    product = torch.bmm(query.flatten(2).transpose(1, 2), key.flatten(2))
    return (product * positive).sum((1, 2)) / (positive.sum((1, 2)) + 1e-6)
