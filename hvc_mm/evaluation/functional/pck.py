"""PCK of joints tracked through clips, as CRW scores JHMDB.

Legend: T: frames of a clip, K: thresholds, J: joints (15), a *cell* is a
step of the feature grid that the prediction was made on.
"""

from __future__ import annotations

from typing import Sequence, Tuple

import numpy as np

NUM_JOINTS = 15
# A joint is right within `threshold * 0.6 * box diagonal`.
BOX_SHARE = 0.6


def pck(
    gt: Sequence[np.ndarray],
    pred_cells: Sequence[np.ndarray],
    sizes: Sequence[Tuple[int, int]],
    thresholds: Sequence[float],
    grid: int = 40,
    box_share: float = BOX_SHARE,
) -> np.ndarray:
    """Compute the percentage of correct keypoints, averaged over joints.

    See `pck_per_joint` for arguments, protocol and errors.

    Returns:
        np.ndarray: ``(K,)`` float64 in percent.
    """
    options = (sizes, thresholds, grid, box_share)
    return pck_per_joint(gt, pred_cells, *options).mean(axis=0)


def pck_per_joint(
    gt: Sequence[np.ndarray],
    pred_cells: Sequence[np.ndarray],
    sizes: Sequence[Tuple[int, int]],
    thresholds: Sequence[float],
    grid: int = 40,
    box_share: float = BOX_SHARE,
) -> np.ndarray:
    """Compute the percentage of correct keypoints for every joint.

    The distance between prediction and truth is divided by ``box_share``
    times the diagonal of the box around the true joints that were predicted
    in the frame; a joint is right when that is at most the threshold. A
    clip's first frame, which is given to the tracker, is left out, and so is
    a joint where it was lost. Distances are pooled per joint over all clips.

    A joint that was lost in every frame has nothing to pool; it counts as
    0 percent, so that losing it for good never helps.

    Args:
        gt: For every clip ``(2, J, T)``: x and y in pixels, from 0.
        pred_cells: For every clip ``(2, J, T)``: x and y in cells; -1 where
            a joint is lost.
        sizes: For every clip its ``(height, width)`` in pixels.
        thresholds: K shares of the normalised distance, e.g. 0.1.
        grid: Cells along either side of the feature grid.
        box_share: Share of the box's diagonal that a threshold of 1 means.

    Returns:
        np.ndarray: ``(J, K)`` float64 in percent.

    Raises:
        ValueError: The lists' lengths or a clip's shapes are wrong, a clip
            has no frame beyond its first, or no clip is given.
    """
    if not len(gt) == len(pred_cells) == len(sizes) or len(gt) == 0:
        raise ValueError(
            'expected as many clips in gt, pred_cells and sizes (at least '
            f'one), found {len(gt)}, {len(pred_cells)} and {len(sizes)}'
        )
    counts = [
        pck_counts(*clip, thresholds, grid, box_share, index)
        for index, clip in enumerate(zip(gt, pred_cells, sizes))
    ]
    right, found = (sum(parts) for parts in zip(*counts))
    return 100.0 * right / np.maximum(found, 1)[:, None]


def pck_counts(
    gt: np.ndarray,
    pred_cells: np.ndarray,
    size: Tuple[int, int],
    thresholds: Sequence[float],
    grid: int = 40,
    box_share: float = BOX_SHARE,
    index: int = 0,
) -> Tuple[np.ndarray, np.ndarray]:
    """Count the right keypoints of a clip, and those that count at all.

    Args:
        gt, pred_cells, size: Of one clip; these and the others are as for
            `pck_per_joint`.
        thresholds, grid, box_share: Likewise.
        index: The clip's number, for errors.

    Returns:
        tuple: ``(J, K)`` and ``(J,)`` integers.

    Raises:
        ValueError: The shapes are wrong, or there is only one frame.
    """
    levels = np.asarray(thresholds, dtype=np.float64)
    distance, found = _normalised_distances(
        index, gt, pred_cells, size, grid, box_share
    )
    right = (distance[..., None] <= levels) & found[..., None]
    return right.sum(axis=1), found.sum(axis=1)


def _normalised_distances(
    index: int,
    gt: np.ndarray,
    cells: np.ndarray,
    size: Tuple[int, int],
    grid: int,
    box_share: float,
) -> Tuple[np.ndarray, np.ndarray]:
    """Distances and where a joint was found, both ``(J, T - 1)``."""
    gt = np.asarray(gt, dtype=np.float64)
    cells = np.asarray(cells, dtype=np.float64)
    wanted = gt.ndim == 3 and gt.shape[:2] == (2, NUM_JOINTS)
    if not wanted or cells.shape != gt.shape:
        raise ValueError(
            f'clip {index}: expected gt and prediction of one shape '
            f'(2, {NUM_JOINTS}, T), found {gt.shape} and {cells.shape}'
        )
    if gt.shape[2] < 2:
        raise ValueError(
            f'clip {index} has {gt.shape[2]} frame(s); the first one is not '
            'scored, so at least two are needed'
        )
    height, width = size
    gt, cells = gt[:, :, 1:], cells[:, :, 1:]
    found = (cells >= 0).all(axis=0)
    pixels = cells / grid * np.array([width, height]).reshape(2, 1, 1)
    apart = np.linalg.norm(pixels - gt, axis=0)
    top = np.where(found, gt, -np.inf).max(axis=1)
    bottom = np.where(found, gt, np.inf).min(axis=1)
    with np.errstate(invalid='ignore', divide='ignore'):
        # A box without extent (one joint found) makes every miss infinite,
        # a frame without any joint gives values that `found` masks out.
        box = box_share * np.linalg.norm(top - bottom, axis=0)
        return apart / box, found
