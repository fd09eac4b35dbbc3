"""Compare masks by where they are and by what is there, and assign them.

N, M: masks of two sets, of tracks or detections; C h w: channels and grid of
a frame's features; H W: frame in pixels.
"""

from __future__ import annotations

from typing import List, Tuple

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor


def mask_iou(first: Tensor, second: Tensor) -> Tensor:
    """Compute intersection over union of every pair of masks.

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


def pool_features(features: Tensor, masks: Tensor) -> Tensor:
    """Describe objects by the mean of the features under their masks.

    The whole frame's mean is subtracted: what all things in a video have in
    common says nothing about which one it is, and else makes every cosine
    large::

        normalise(sum_i w_i f_i / sum_i w_i - mean_i f_i)

    with cells i and ``w_i`` the share of the cell that the mask covers, so
    that objects smaller than a cell have a description, too.

    Args:
        features: ``(1, C, h, w)``, unit length.
        masks: ``(N, H, W)`` bool.

    Returns:
        ``(N, C)`` fp32, unit length; zeros for empty masks.
    """
    size = features.shape[-2:]
    weights = F.interpolate(masks[:, None].float(), size, mode='area')
    weights = F.normalize(weights.flatten(1), p=1, dim=1).to(features)
    cells = features[0].flatten(1).T
    pooled = weights @ cells - cells.mean(0)
    return F.normalize(pooled, dim=1) * (weights.sum(1, keepdim=True) > 0)


def best_cosine(known: List[Tensor], views: Tensor) -> Tensor:
    """Compare what is seen with what is known of objects.

    Args:
        known: Of each of N objects all views, ``(any number, C)``, unit
            length.
        views: ``(M, C)``, unit length.

    Returns:
        ``(N, M)``, the largest cosine with a view of the object.
    """
    return torch.stack([(each @ views.T).amax(0) for each in known])


def match_masks(similarity: Tensor, threshold: float) -> List[Tuple[int, int]]:
    """Assign masks to masks so that the sum of similarities is largest.

    Pairs below the threshold are no candidates at all: they can't pull a
    mask away from a pair above it.

    Args:
        similarity: ``(N, M)``, IoU or cosine; 0 for pairs that may not be.
        threshold: Least similarity of a pair, in (0, 1].

    Returns:
        Pairs of a row and a column, each at most once, by row.
    """
    allowed = similarity * (similarity >= threshold)
    rows, columns = linear_sum_assignment(allowed.cpu().numpy(), maximize=True)
    return [(r, c) for r, c in zip(rows, columns) if allowed[r, c] > 0]
