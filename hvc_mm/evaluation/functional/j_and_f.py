"""Region similarity J, boundary accuracy F, and DAVIS's figures of them.

Legend: T: frames, O: objects, H, W: height and width of a frame in pixels,
r: how far apart two boundary pixels may be and still match, in pixels.
"""

from __future__ import annotations

import math
from typing import Dict, NamedTuple, Optional, Sequence, Tuple

import cv2
import numpy as np

# Share of the image diagonal within which boundaries match (DAVIS).
BOUND_TH = 0.008

RECALL_TH = 0.5
_QUARTERS = 4


def region_similarity(gt: np.ndarray, pred: np.ndarray) -> np.ndarray:
    """Compute J of one object in every frame, as DAVIS-2017 defines it.

    ``J = |gt & pred| / |gt | pred|``, and 1 where both are empty.

    Args:
        gt: ``(T, H, W)`` bool (or 0 and 1), the annotation.
        pred: ``(T, H, W)`` bool (or 0 and 1), the prediction.

    Returns:
        np.ndarray: ``(T,)`` float64 in [0, 1].

    Raises:
        ValueError: Shapes differ, or a value is neither 0 nor 1.
    """
    gt, pred = _as_mask_pair(gt, pred)
    scores = np.empty(len(gt), dtype=np.float64)
    for t in range(len(gt)):
        # |gt | pred| from the counts: one pass over the frame less.
        both = np.count_nonzero(gt[t] & pred[t])
        either = np.count_nonzero(gt[t]) + np.count_nonzero(pred[t]) - both
        scores[t] = both / either if either else 1.0
    return scores


def boundary_accuracy(
    gt: np.ndarray, pred: np.ndarray, bound_th: float = BOUND_TH
) -> np.ndarray:
    """Compute F of one object in every frame, as DAVIS-2017 defines it.

    With the boundaries ``g`` and ``p`` of the two masks, precision is the
    share of ``p`` within ``r = ceil(bound_th * image diagonal)`` pixels of
    ``g``, recall that of ``g`` near ``p``, and
    ``F = 2 * precision * recall / (precision + recall)``. F is 1 where both
    boundaries are empty and 0 where one is.

    Args:
        gt: ``(T, H, W)`` bool (or 0 and 1), the annotation.
        pred: ``(T, H, W)`` bool (or 0 and 1), the prediction.
        bound_th: Matching distance as a share of the image diagonal.

    Returns:
        np.ndarray: ``(T,)`` float64 in [0, 1].

    Raises:
        ValueError: Shapes differ, or a value is neither 0 nor 1.
    """
    gt, pred = _as_mask_pair(gt, pred)
    # The norm as the protocol takes it: 0.008 * 125 must not become 1 + eps.
    radius = int(math.ceil(bound_th * np.linalg.norm(gt.shape[1:])))
    scores = np.empty(len(gt), dtype=np.float64)
    for t in range(len(gt)):
        scores[t] = _frame_f(gt[t], pred[t], radius)
    return scores


def mask_boundary(mask: np.ndarray) -> np.ndarray:
    """Find the 1-pixel boundary of a mask.

    A pixel is on it when its right, lower or lower-right neighbour differs
    from it; in the last row only the right one is asked, in the last column
    only the lower one.

    Args:
        mask: ``(H, W)`` bool.

    Returns:
        np.ndarray: ``(H, W)`` bool.
    """
    edge = np.zeros(mask.shape, dtype=bool)
    edge[:, :-1] = mask[:, :-1] ^ mask[:, 1:]
    edge[:-1] |= mask[:-1] ^ mask[1:]
    edge[:-1, :-1] |= mask[:-1, :-1] ^ mask[1:, 1:]
    return edge


class SequenceStatistics(NamedTuple):
    """Figures that DAVIS reports of one score over one video.

    Attributes:
        mean: Mean over the frames.
        recall: Share of frames with a score above 0.5.
        decay: Mean of the first quarter minus mean of the last one; positive
            where the result gets worse.
    """

    mean: float
    recall: float
    decay: float


def sequence_statistics(scores: np.ndarray) -> SequenceStatistics:
    """Compute mean, recall and decay of one object's score over a video.

    The quarters' edges are ``round(linspace(1, T, 5) + 1e-10) - 1``, and both
    ends belong to a quarter, as in the DAVIS-2017 protocol. They are int64:
    DAVIS's 8-bit edges overflow beyond 256 frames.

    Args:
        scores: ``(T,)`` in [0, 1], the frames that count only (DAVIS leaves
            out the first and the last frame of a video).

    Returns:
        SequenceStatistics: The three figures.

    Raises:
        ValueError: There is no frame, or a score isn't finite.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 1 or scores.size == 0:
        raise ValueError(
            f'expected the scores (T,) of at least one frame, found '
            f'{scores.shape}'
        )
    if not np.isfinite(scores).all():
        raise ValueError('a frame has a score that is not finite')
    edges = np.linspace(1, len(scores), _QUARTERS + 1)
    edges = (np.round(edges + 1e-10) - 1).astype(np.int64)
    first = scores[edges[0] : edges[1] + 1]
    last = scores[edges[-2] : edges[-1] + 1]
    return SequenceStatistics(
        mean=float(scores.mean()),
        recall=float((scores > RECALL_TH).mean()),
        decay=float(first.mean() - last.mean()),
    )


def last_quarter(scores: np.ndarray) -> np.ndarray:
    """Select the scores of a video's last quarter, as VOST does.

    They begin at frame ``floor(0.75 * T)``, counted from 0: of 5 frames the
    last 2.

    Args:
        scores: ``(T,)``, the frames that count only (VOST leaves out the first
            and the last annotated frame of a video).

    Returns:
        np.ndarray: ``(T - floor(0.75 * T),)``, at least one.

    Raises:
        ValueError: There is no frame.
    """
    scores = np.asarray(scores)
    if scores.ndim != 1 or scores.size == 0:
        raise ValueError(
            f'expected the scores (T,) of at least one frame, found '
            f'{scores.shape}'
        )
    return scores[math.floor(0.75 * len(scores)) :]


def davis_summary(
    region: Sequence[SequenceStatistics],
    boundary: Sequence[SequenceStatistics],
) -> Dict[str, float]:
    """Compute DAVIS's overall figures: means over all objects.

    Args:
        region: J's statistics of every object, O of them.
        boundary: F's statistics of the same objects.

    Returns:
        Dict[str, float]: ``J&F`` (the mean of J's and F's means), ``J_mean``,
        ``J_recall``, ``J_decay``, ``F_mean``, ``F_recall``, ``F_decay``.

    Raises:
        ValueError: There is no object, or the lengths differ.
    """
    if len(region) == 0 or len(region) != len(boundary):
        raise ValueError(
            f'expected J and F of the same objects, found {len(region)} and '
            f'{len(boundary)}'
        )
    summary = {}
    for name, objects in (('J', region), ('F', boundary)):
        means = np.mean(np.array(objects, dtype=np.float64), axis=0)
        for field, value in zip(SequenceStatistics._fields, means):
            summary[f'{name}_{field}'] = float(value)
    both = (summary['J_mean'] + summary['F_mean']) / 2
    return {'J&F': both, **summary}


def _frame_f(gt: np.ndarray, pred: np.ndarray, radius: int) -> float:
    """F of one frame; masks ``(H, W)`` bool."""
    window = _window(gt, pred)
    if window is None:
        return 1.0
    gt_edge = mask_boundary(gt[window])
    pred_edge = mask_boundary(pred[window])
    gt_length = np.count_nonzero(gt_edge)
    pred_length = np.count_nonzero(pred_edge)
    # Not the masks but their boundaries decide: a mask that fills the whole
    # image has none.
    if gt_length == 0 or pred_length == 0:
        return float(gt_length == pred_length)
    near_gt = _dilate(gt_edge, radius)
    near_pred = _dilate(pred_edge, radius)
    precision = np.count_nonzero(pred_edge & near_gt) / pred_length
    recall = np.count_nonzero(gt_edge & near_pred) / gt_length
    if precision + recall == 0:
        return 0.0
    return 2 * precision * recall / (precision + recall)


def _window(gt: np.ndarray, pred: np.ndarray) -> Optional[Tuple[slice, slice]]:
    """Find the part of ``(H, W)`` masks with both boundaries, or None.

    One pixel more than the masks on each side: boundary pixels are up to one
    pixel above and left of a mask, and the row and column below and right of
    it must stay, or the last row's own rule would apply to it.
    """
    either = gt | pred
    rows = np.flatnonzero(either.any(axis=1))
    if rows.size == 0:
        return None
    cols = np.flatnonzero(either[rows[0] : rows[-1] + 1].any(axis=0))
    return (
        slice(max(rows[0] - 1, 0), rows[-1] + 2),
        slice(max(cols[0] - 1, 0), cols[-1] + 2),
    )


def _dilate(edge: np.ndarray, radius: int) -> np.ndarray:
    """Dilate ``(H, W)`` with the disc ``dx^2 + dy^2 <= radius^2``.

    The disc is a stack of rows, so its dilation is the union of row
    dilations shifted up and down. Row dilations are cheap and many rows
    share a width: 1.5 (480p) to 2 times (1080p) faster than handing OpenCV
    the disc, with the same result.
    """
    source = np.ascontiguousarray(edge).view(np.uint8)
    out = np.zeros_like(source)
    height = len(source)
    dilated = {}
    for dy in range(min(radius + 1, height)):
        half = math.isqrt(radius * radius - dy * dy)
        if half not in dilated:
            row = np.ones((1, 2 * half + 1), dtype=np.uint8)
            dilated[half] = cv2.dilate(source, row)
        out[: height - dy] |= dilated[half][dy:]
        out[dy:] |= dilated[half][: height - dy]
    return out.view(bool)


def _as_mask_pair(
    gt: np.ndarray, pred: np.ndarray
) -> Tuple[np.ndarray, np.ndarray]:
    """Check two stacks of masks ``(T, H, W)`` and make them bool.

    Integers are taken when they are 0 and 1 only: an id map passed by
    mistake would otherwise be scored with all its objects as one.
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
