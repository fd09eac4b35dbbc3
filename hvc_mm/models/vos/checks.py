"""Refuse settings and tensors that labels cannot be propagated with.

h w: grid, C: feature channels, M: label channels.
"""

from __future__ import annotations

from typing import Any, NoReturn, Optional, Sequence, Tuple, Union

import torch
from torch import Tensor

from hvc_mm.registry import MODELS

__all__ = [
    'check_features',
    'check_labels',
    'check_settings',
    'floating_type',
    'refuse_removed',
]


def check_settings(
    radius: Optional[float], topk: int, temperature: float, context: int = 0
) -> None:
    """Raise ValueError when a propagation setting is out of its range."""
    if radius is not None and not radius > 0:
        raise ValueError(f'radius must be > 0 or None, got {radius}')
    if int(topk) != topk or topk < 1:
        raise ValueError(f'topk must be an integer >= 1, got {topk}')
    if not temperature > 0:
        raise ValueError(f'temperature must be > 0, got {temperature}')
    if int(context) != context or context < 0:
        raise ValueError(f'context must be an integer >= 0, got {context}')


def floating_type(
    name: str, value: Union[str, torch.dtype, None]
) -> Optional[torch.dtype]:
    """Find the floating-point type that a setting names; None stays None.

    Args:
        name: Of the setting, for the error.
        value: A type or its name, or None.

    Raises:
        ValueError: For anything else.
    """
    found = getattr(torch, value, None) if isinstance(value, str) else value
    if value is None:
        return None
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ValueError(
            f'{name} must be a floating-point type of torch or None, got '
            f'{value!r}'
        )
    return found


def refuse_removed(given: Sequence[str]) -> None:
    """Refuse arguments that ``LabelPropagator`` had in 0.1, or never had.

    Raises:
        ValueError: For one of 0.1; it says what to use instead.
        TypeError: For any other one.
    """
    for name in given:
        if name in ('bank_dtype', 'bank_device'):
            raise ValueError(
                f'LabelPropagator: {name} is gone: a shorter `context` takes '
                'less memory'
            )
        raise TypeError(f'LabelPropagator has no argument {name!r}')


@MODELS.register_module(name='DenseLabelPropagator')
def refuse_dense(**_: Any) -> NoReturn:
    """Refuse the propagator of 0.1 that a config may still name."""
    raise ValueError(
        'DenseLabelPropagator is gone: LabelPropagator gives the same '
        'result; hvc_mm.models.vos.propagate is the dense formula'
    )


def check_features(
    features: Tensor, time: int, before: Optional[Tuple[int, ...]]
) -> None:
    """Refuse features that are not ``(1, C, h, w)`` or change their shape.

    Args:
        features: Of a frame.
        time: Its index since the video's first.
        before: Shape of the frames before it; None for the first.

    Raises:
        ValueError: Says what was found and what was expected.
    """
    shape = tuple(features.shape)
    if len(shape) != 4 or shape[0] != 1 or 0 in shape:
        raise ValueError(f'features must be (1, C, h, w), got {shape}')
    if before is not None and shape != before:
        raise ValueError(
            f'features of frame {time} have shape {shape}, those before had '
            f'{before}: call reset() between videos'
        )


def check_labels(labels: Tensor, time: int, grid: Tuple[int, int]) -> None:
    """Refuse new labels that are not floating point ``(1, M, h, w)``.

    Args:
        labels: Of a frame.
        time: Its index since the video's first.
        grid: ``(h, w)`` of its features.

    Raises:
        ValueError: Says what was found and what was expected.
    """
    shape = tuple(labels.shape)
    if len(shape) != 4 or shape[0] != 1 or shape[2:] != grid:
        raise ValueError(
            f'new_labels of frame {time} have shape {shape}, expected '
            f'(1, M, h, w) = (1, M, {grid[0]}, {grid[1]}) to fit the features'
        )
    if shape[1] < 1 or not labels.is_floating_point():
        raise ValueError(
            'new_labels must be floating point with M >= 1 channels, got '
            f'{labels.dtype} of shape {shape}'
        )
