"""What the metric functions accept as masks.

Legend: T: frames, H, W: height and width of a frame in pixels.
"""

from __future__ import annotations

from typing import Tuple

import numpy as np


def as_mask_pair(
    gt: np.ndarray, pred: np.ndarray
) -> Tuple[np.ndarray, np.ndarray]:
    """Check two stacks of masks of one object and make them bool.

    Integers are taken when they are 0 and 1 only: an id map passed by
    mistake would otherwise be scored with all its objects as one.

    Args:
        gt: ``(T, H, W)``, the annotation.
        pred: ``(T, H, W)``, the prediction.

    Returns:
        Tuple[np.ndarray, np.ndarray]: Both as bool.

    Raises:
        ValueError: Shapes differ or aren't ``(T, H, W)``, or the values
            aren't those of a binary mask.
    """
    gt, pred = np.asarray(gt), np.asarray(pred)
    if gt.ndim != 3 or gt.shape != pred.shape:
        raise ValueError(
            'expected gt and pred of one shape (T, H, W), found '
            f'{gt.shape} and {pred.shape}'
        )
    return _as_bool(gt, 'gt'), _as_bool(pred, 'pred')


def _as_bool(mask: np.ndarray, name: str) -> np.ndarray:
    if mask.dtype == bool:
        return mask
    if mask.dtype.kind not in 'ui':
        raise ValueError(
            f'{name} has type {mask.dtype}; expected bool masks of one object'
        )
    if mask.size and (mask.min() < 0 or mask.max() > 1):
        raise ValueError(
            f'{name} holds values {mask.min()}..{mask.max()}; expected the '
            'mask of one object (`ids == object_id`)'
        )
    return mask.astype(bool)
