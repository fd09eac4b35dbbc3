"""What a scoring worker does: read an annotation, compare a prediction.

Legend: H, W: height and width of a frame in pixels.
"""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Sequence, Tuple

import numpy as np

from hvc_mm.datasets.image_io import read_id_mask

from ..functional import (
    boundary_accuracy,
    confusion_matrix,
    region_similarity,
)
from ..functional.boundary_accuracy import BOUND_TH

VOID = 255


class FrameJob(NamedTuple):
    """A predicted frame on its way to a worker.

    Attributes:
        name: The frame, as a message should name it.
        gt_path: Its annotation file.
        pred: ``(H, W)`` uint8, the predicted ids.
    """

    name: str
    gt_path: str
    pred: np.ndarray


class FrameScores(NamedTuple):
    """J and F of all objects in a frame.

    Attributes:
        name: The frame, as a message should name it.
        gt_ids: Ids in the annotation, void and background left out.
        pred_ids: Ids in the prediction, background left out.
        scores: J and F of every id that is in one of them. An object that is
            in neither has J = F = 1.
    """

    name: str
    gt_ids: Tuple[int, ...]
    pred_ids: Tuple[int, ...]
    scores: Dict[int, Tuple[float, float]]

    def of(self, object_id: int) -> Tuple[float, float]:
        """J and F of an object, also of one that nobody sees here."""
        return self.scores.get(object_id, (1.0, 1.0))


def is_binary_style(gt: np.ndarray) -> bool:
    """Whether a first annotation is a 0/255 mask of a single object.

    DAVIS-2016 stores masks that way; everywhere else 255 is void, and a
    first frame with nothing but void would have no object to follow.
    """
    return bool((gt == VOID).any() and not ((gt > 0) & (gt < VOID)).any())


def object_ids(gt: np.ndarray, binary: bool, merge: bool) -> np.ndarray:
    """The ids that count: void as background, a single object as 1.

    Args:
        gt: ``(H, W)`` uint8 as stored.
        binary: The video's masks are of the 0/255 style.
        merge: All objects are one.

    Returns:
        np.ndarray: ``(H, W)`` uint8.
    """
    if binary:
        return (gt > 0).astype(np.uint8)
    gt = np.where(gt == VOID, 0, gt).astype(np.uint8)
    return (gt > 0).astype(np.uint8) if merge else gt


def score_objects(
    frames: Sequence[FrameJob],
    binary: bool,
    merge: bool,
    bound_th: float = BOUND_TH,
) -> List[FrameScores]:
    """J and F of every object in some frames of one video.

    Args:
        frames: The frames.
        binary: The video's annotations are 0/255 masks of one object.
        merge: Score all objects as one.
        bound_th: How far apart boundaries match, as a share of the image
            diagonal.

    Returns:
        List[FrameScores]: One entry per frame.

    Raises:
        ValueError: An annotation can't be read or has another size than the
            prediction.
        FileNotFoundError: An annotation isn't there.
    """
    results = []
    for frame in frames:
        gt = object_ids(_read_gt(frame), binary, merge)
        pred = frame.pred
        if merge or binary:
            pred = (pred > 0).astype(np.uint8)
        gt_ids, pred_ids = _ids(gt), _ids(pred)
        scores = {}
        for i in sorted({*gt_ids, *pred_ids}):
            masks = (gt == i)[None], (pred == i)[None]
            scores[i] = (
                float(region_similarity(*masks)[0]),
                float(boundary_accuracy(*masks, bound_th)[0]),
            )
        results.append(FrameScores(frame.name, gt_ids, pred_ids, scores))
    return results


def count_classes(
    frames: Sequence[FrameJob], num_classes: int
) -> List[np.ndarray]:
    """One confusion matrix for some frames.

    Args:
        frames: The frames.
        num_classes: Number of classes, background among them.

    Returns:
        List[np.ndarray]: A single ``(num_classes, num_classes)`` int64
        matrix (in a list, as the results of other jobs are).

    Raises:
        ValueError: An annotation can't be read, has another size than the
            prediction or holds an id that is neither a class nor void, or
            the prediction holds one that is no class.
        FileNotFoundError: An annotation isn't there.
    """
    total = np.zeros((num_classes, num_classes), dtype=np.int64)
    for frame in frames:
        gt = _read_gt(frame)
        unknown = gt[(gt >= num_classes) & (gt != VOID)]
        if unknown.size:
            raise ValueError(
                f'the annotation {frame.gt_path} holds the id {unknown[0]}; '
                f'expected 0..{num_classes - 1}, or {VOID} for void'
            )
        try:
            total += confusion_matrix(gt, frame.pred, num_classes)
        except ValueError as error:
            raise ValueError(f'{frame.name}: {error}') from error
    return [total]


def _ids(mask: np.ndarray) -> Tuple[int, ...]:
    # bincount is far faster than unique's sort on a frame of 8-bit ids.
    counts = np.bincount(mask.ravel(), minlength=1)
    return tuple(int(i) for i in np.flatnonzero(counts) if i)


def _read_gt(frame: FrameJob) -> np.ndarray:
    gt = read_id_mask(frame.gt_path)
    if gt.shape != frame.pred.shape:
        raise ValueError(
            f'{frame.name}: the prediction has {frame.pred.shape} pixels, '
            f'its annotation {frame.gt_path} {gt.shape}'
        )
    return gt
