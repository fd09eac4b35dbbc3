"""Confusion matrix of two id maps, and intersection over union from it."""

from __future__ import annotations

import numpy as np


def confusion_matrix(
    gt: np.ndarray, pred: np.ndarray, num_classes: int
) -> np.ndarray:
    """Count how often each true class was predicted as each class.

    Pixels whose ground truth is outside ``0 .. num_classes - 1`` (void,
    classes that the benchmark leaves out) don't count, whatever was
    predicted there.

    Args:
        gt: Integer ids, any shape.
        pred: Integer ids, the same shape; ``0 .. num_classes - 1`` wherever
            the ground truth counts.
        num_classes: Number of classes, background among them.

    Returns:
        np.ndarray: ``(num_classes, num_classes)`` int64; row: ground truth,
        column: prediction. Matrices of several frames add up.

    Raises:
        ValueError: Shapes differ, ids aren't integers, or a prediction that
            counts is outside the classes.
    """
    gt, pred = np.asarray(gt), np.asarray(pred)
    if gt.shape != pred.shape:
        raise ValueError(
            f'gt has shape {gt.shape}, pred {pred.shape}; expected the same'
        )
    for name, ids in (('gt', gt), ('pred', pred)):
        if ids.dtype.kind not in 'bui':
            raise ValueError(
                f'{name} has type {ids.dtype}; expected integer ids'
            )
    counts = (gt >= 0) & (gt < num_classes)
    # int64 before the product: 8-bit ids overflow in `gt * num_classes`.
    true = gt[counts].astype(np.int64)
    found = pred[counts].astype(np.int64)
    if found.size and (found.min() < 0 or found.max() >= num_classes):
        raise ValueError(
            f'predicted ids {found.min()}..{found.max()}; expected '
            f'0..{num_classes - 1}'
        )
    cells = np.bincount(true * num_classes + found, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes)


def iou_from_confusion(hist: np.ndarray) -> np.ndarray:
    """Compute intersection over union per class.

    ``IoU_c = hist[c, c] / (row sum_c + column sum_c - hist[c, c])``.

    Args:
        hist: ``(C, C)`` counts; row: ground truth, column: prediction.

    Returns:
        np.ndarray: ``(C,)`` float64 in [0, 1]; nan for a class that is
        neither in the ground truth nor predicted. Mean IoU is `np.nanmean`.

    Raises:
        ValueError: The matrix isn't square.
    """
    hist = np.asarray(hist, dtype=np.float64)
    if hist.ndim != 2 or hist.shape[0] != hist.shape[1]:
        raise ValueError(f'expected a (C, C) matrix, found {hist.shape}')
    hit = np.diag(hist)
    union = hist.sum(axis=0) + hist.sum(axis=1) - hit
    iou = np.full(len(hist), np.nan)
    np.divide(hit, union, out=iou, where=union > 0)
    return iou
