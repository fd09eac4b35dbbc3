"""Region similarity J: intersection over union of two masks.

Legend: T: frames, H, W: height and width of a frame in pixels.
"""

from __future__ import annotations

import numpy as np

from ._checks import as_mask_pair


def region_similarity(gt: np.ndarray, pred: np.ndarray) -> np.ndarray:
    """J of one object in every frame, as DAVIS-2017 defines it.

    ``J = |gt & pred| / |gt | pred|``, and 1 where both are empty.

    Args:
        gt: ``(T, H, W)`` bool (or 0 and 1), the annotation.
        pred: ``(T, H, W)`` bool (or 0 and 1), the prediction.

    Returns:
        np.ndarray: ``(T,)`` float64 in [0, 1].

    Raises:
        ValueError: Shapes differ, or a value is neither 0 nor 1.
    """
    gt, pred = as_mask_pair(gt, pred)
    scores = np.empty(len(gt), dtype=np.float64)
    for t in range(len(gt)):
        # |gt | pred| from the counts: one pass over the frame less.
        both = np.count_nonzero(gt[t] & pred[t])
        either = np.count_nonzero(gt[t]) + np.count_nonzero(pred[t]) - both
        scores[t] = both / either if either else 1.0
    return scores
