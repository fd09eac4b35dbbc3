"""How alike a chosen place and every cell of a frame are.

C: channels, h w: feature grid.
"""

from __future__ import annotations

from typing import Tuple

import torch
from torch import Tensor


def cell_at(
    point: Tuple[float, float], shape: Tuple[int, int], grid: Tuple[int, int]
) -> Tuple[int, int]:
    """The cell of the feature grid that a pixel lies in.

    Args:
        point: x and y in pixels.
        shape: ``(H, W)`` of the frame.
        grid: ``(h, w)``.

    Returns:
        Row and column.

    Raises:
        ValueError: The point lies outside of the frame.
    """
    x, y = point
    if not (0 <= x < shape[1] and 0 <= y < shape[0]):
        raise ValueError(
            f'the point ({x:g}, {y:g}) is outside of the frame of '
            f'{shape[1]}x{shape[0]} pixels'
        )
    return int(y * grid[0] / shape[0]), int(x * grid[1] / shape[1])


def point_affinity(
    query: Tensor, features: Tensor, temperature: float = 0.1
) -> Tuple[Tensor, float]:
    """Where in a frame a place finds its like.

    The weights that propagation would give to the frame's cells, a softmax
    of cosines over ``temperature``, in units of the largest one:
    ``exp((s - max s) / temperature)``. How alike the best cell is, which
    these units hide, is told beside.

    Args:
        query: ``(C,)``, of unit length: the chosen place's feature.
        features: ``(C, h, w)``, of unit length in every cell.
        temperature: > 0; the smaller, the sharper.

    Returns:
        ``(h, w)`` in (0, 1], 1 at the best cell, and that cell's cosine.

    Raises:
        ValueError: Shapes that don't fit, a temperature that is not > 0.
    """
    if query.ndim != 1 or features.ndim != 3 or len(query) != len(features):
        raise ValueError(
            'expected a feature (C,) and a map (C, h, w), got '
            f'{tuple(query.shape)} and {tuple(features.shape)}'
        )
    if not temperature > 0:
        raise ValueError(f'temperature must be > 0, not {temperature}')
    cosine = torch.einsum('c,chw->hw', query, features)
    best = cosine.max()
    return torch.exp((cosine - best) / temperature), float(best)
