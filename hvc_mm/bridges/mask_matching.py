"""Which mask of one set is which of another.

N, M: masks of either set; H W: frame, in pixels.
"""

from __future__ import annotations

from typing import List, Tuple

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor


def mask_iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of every pair of masks.

    Args:
        first: ``(N, H, W)`` bool.
        second: ``(M, H, W)`` bool.

    Returns:
        ``(N, M)`` fp32 in [0, 1]; 0 where both masks are empty, which say
        nothing about each other.

    Raises:
        ValueError: When the frames differ in size.
    """
    if first.shape[1:] != second.shape[1:]:
        raise ValueError(
            f'masks of {tuple(first.shape)} and {tuple(second.shape)}: '
            'expected (N, H, W) and (M, H, W) of one frame'
        )
    # fp32 counts pixels exactly up to 2^24, a frame of 4096 x 4096.
    first, second = first.flatten(1).float(), second.flatten(1).float()
    intersection = first @ second.T
    union = first.sum(1)[:, None] + second.sum(1) - intersection
    return intersection / union.clamp(min=1)


def match_masks(iou: Tensor, threshold: float) -> List[Tuple[int, int]]:
    """Assign masks to masks so that the sum of IoU is largest.

    Pairs below the threshold are no candidates at all: they can't pull a
    mask away from a pair above it.

    Args:
        iou: ``(N, M)`` in [0, 1]; 0 for pairs that may not be.
        threshold: Least IoU of a pair, in (0, 1].

    Returns:
        Pairs of a row and a column, each at most once, by row.
    """
    allowed = torch.where(iou >= threshold, iou, torch.zeros_like(iou))
    rows, columns = linear_sum_assignment(allowed.cpu().numpy(), maximize=True)
    return [(r, c) for r, c in zip(rows, columns) if allowed[r, c] > 0]
