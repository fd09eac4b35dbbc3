"""One step of label propagation, straight from its definition.

T: context frames, C: feature channels, M: label channels, h w: grid,
n: query cells of one chunk, K: kept cells.
"""

from __future__ import annotations

import math
from typing import Optional, Union

import torch
from torch import Tensor

from .window import Window, in_window

__all__ = [
    'check_settings',
    'floating_type',
    'propagate',
    'propagate_cells',
    'score_cells',
]


def propagate(
    context_features: Tensor,
    context_labels: Tensor,
    query: Tensor,
    radius: Optional[float],
    topk: int,
    temperature: float,
    query_chunk: int = 100,
    window: str = 'disc',
    with_edge: bool = False,
    reference_in_window: bool = False,
    references: int = 1,
) -> Tensor:
    """Propagate the labels of context frames to a query frame.

    For a query cell the affinity with a context cell is the dot product of
    their features over ``temperature``. The ``topk`` largest over all
    context cells are kept, a softmax over them gives weights, and the
    result is the weighted sum of the labels of those cells. The first
    context frame, the reference, may match anywhere, the others only where
    the distance of the cells is ``< radius``. (Section 3 of the CRW paper,
    "Space-Time Correspondence as a Contrastive Random Walk".) Protocols
    with other windows are the last three options.

    This is the dense form, kept as plain as the formula: the reference that
    the windowed form is tested against.

    Args:
        context_features: ``(T, C, h, w)``, L2-normalised over ``C``.
        context_labels: ``(T, M, h, w)``.
        query: ``(1, C, h, w)``, L2-normalised over ``C``.
        radius: In grid cells, > 0; None lets every frame match anywhere.
        topk: Number of cells kept, >= 1. Where fewer are allowed, all of
            them are kept.
        temperature: Divides the dot product, > 0.
        query_chunk: Query cells worked on at a time: bounds the memory to
            ``T * h * w * query_chunk`` affinities and changes no result.
        window: ``'disc'`` or ``'square'``, see
            :class:`~hvc_mm.models.vos.window.Window`.
        with_edge: Whether cells at exactly the radius are in the window.
        reference_in_window: Let the reference, too, match only within the
            window.
        references: How many of the first context frames are references. It
            is one in every published protocol; a frame on which a user
            corrects masks is one more.

    Returns:
        Soft labels ``(1, M, h, w)``.

    Raises:
        ValueError: When shapes do not fit each other or a number is out of
            its range.

    Example:
        >>> features = torch.nn.functional.normalize(torch.rand(3, 8, 5, 6))
        >>> labels = torch.rand(3, 2, 5, 6)
        >>> propagate(features, labels, features[:1], 2, 4, 0.1).shape
        torch.Size([1, 2, 5, 6])
    """
    limits = Window(radius, window, with_edge)
    check_settings(limits, topk, temperature)
    _check_shapes(context_features, context_labels, query)
    height, width = query.shape[2:]
    cells = torch.arange(height * width, device=query.device)
    results = [
        propagate_cells(
            context_features,
            context_labels,
            query,
            some,
            limits,
            topk,
            temperature,
            0 if reference_in_window else references,
        )
        for some in cells.split(query_chunk)
    ]
    return torch.cat(results, dim=1).unflatten(1, (height, width))[None]


def propagate_cells(
    context_features: Tensor,
    context_labels: Tensor,
    query: Tensor,
    cells: Tensor,
    window: Window,
    topk: int,
    temperature: float,
    unlimited: int = 1,
) -> Tensor:
    """:func:`propagate` for some query cells.

    Args:
        cells: Flat grid indices, ``(n,)``.
        window: Its radius, shape and edge; the rest as there, unchecked.
        unlimited: How many of the first context frames may match anywhere.

    Returns:
        Soft labels ``(M, n)``.
    """
    labels = context_labels.transpose(0, 1).flatten(1)
    affinity = score_cells(context_features, query, cells, window, unlimited)
    affinity /= temperature
    kept, index = affinity.topk(min(topk, affinity.shape[1]), dim=1)
    weight = kept.softmax(dim=1).to(labels.dtype)
    return (labels[:, index] * weight).sum(dim=2)


def score_cells(
    context_features: Tensor,
    query: Tensor,
    cells: Tensor,
    window: Window,
    unlimited: int = 1,
) -> Tensor:
    """Compare some query cells with all cells of the context.

    Args:
        context_features: ``(T, C, h, w)``.
        query: ``(1, C, h, w)``.
        cells: Flat grid indices, ``(n,)``.
        window: Of all frames but the ``unlimited`` first.
        unlimited: How many of the first context frames may match anywhere.

    Returns:
        Dot products ``(n, T * h * w)``, in full precision under autocast,
        too; ``-inf`` outside the window.
    """
    height, width = query.shape[2:]
    keys = context_features.flatten(2)
    # Expanded: a product of 2-D by 3-D copies the keys in some versions.
    queries = query[0].flatten(1).t()[cells].expand(len(keys), -1, -1)
    with torch.autocast(query.device.type, enabled=False):
        scores = queries @ keys  # (T, n, hw)
    every = torch.arange(height * width, device=cells.device)
    dy = cells[:, None] // width - every // width
    dx = cells[:, None] % width - every % width
    limited = scores[unlimited:]
    limited.masked_fill_(~in_window(dy, dx, window), -math.inf)
    return scores.transpose(0, 1).flatten(1)


def _check_shapes(
    context_features: Tensor, context_labels: Tensor, query: Tensor
) -> None:
    frames, channels, *grid = context_features.shape
    if tuple(query.shape) != (1, channels, *grid):
        raise ValueError(
            f'query has shape {tuple(query.shape)}, expected '
            f'{(1, channels, *grid)} to fit context_features '
            f'{tuple(context_features.shape)}'
        )
    labels = tuple(context_labels.shape)
    if len(labels) != 4 or labels[:1] + labels[2:] != (frames, *grid):
        raise ValueError(
            f'context_labels has shape {labels}, expected (T, M, h, w) = '
            f'({frames}, M, {grid[0]}, {grid[1]})'
        )


def check_settings(window: Window, topk: int, temperature: float) -> None:
    """Raise ValueError when a propagation setting is out of its range."""
    radius = window.radius
    if radius is not None and not radius > 0:
        raise ValueError(f'radius must be > 0 or None, got {radius}')
    if window.shape not in ('disc', 'square'):
        raise ValueError(
            f"window must be 'disc' or 'square', got {window.shape!r}"
        )
    if int(topk) != topk or topk < 1:
        raise ValueError(f'topk must be an integer >= 1, got {topk}')
    if not temperature > 0:
        raise ValueError(f'temperature must be > 0, got {temperature}')


def floating_type(
    name: str, value: Union[str, torch.dtype, None]
) -> Optional[torch.dtype]:
    """Find the type that a setting names.

    Args:
        name: Of the setting.
        value: A type or its name, or None.

    Returns:
        A floating-point type of torch with 16 bits or more, or None.

    Raises:
        ValueError: For anything else.
    """
    found = getattr(torch, value, None) if isinstance(value, str) else value
    if value is None:
        return None
    is_type = isinstance(found, torch.dtype) and found.is_floating_point
    if not is_type or torch.finfo(found).bits < 16:
        raise ValueError(
            f'{name} must be a floating-point type of torch with 16 bits or '
            f'more, or None, got {value!r}'
        )
    return found
