"""Mean IoU of parts propagated through videos (VIP).

Legend: C: classes, background among them.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np

from hvc_mm.datasets.id_masks import VOID
from hvc_mm.registry import METRICS

from ..functional import confusion_matrix, iou_from_confusion
from .background import FrameJob
from .video_metric import OpenVideo, Pooled, VideoMetric


@METRICS.register_module()
class MeanIoUMetric(VideoMetric):
    """IoU per class from one confusion matrix over all frames and videos.

    All frames count, the first one too. Void (255) in the ground truth is
    ignored, any other id beyond the classes is an error. The mean leaves out
    classes that are neither annotated nor predicted. All figures are in
    percent.

    Args:
        num_classes: C; the ids are ``0 .. C - 1``.
        class_names: C names for the table; by default the data set's
            ``classes``, else the ids.
        per_sequence: Also log every video's own mean IoU.
        kwargs: See `VideoMetric`.

    Raises:
        ValueError: Another number of names than of classes.
    """

    default_prefix = 'vip'
    unit = 'percent'

    def __init__(
        self,
        num_classes: int = 20,
        class_names: Optional[Sequence[str]] = None,
        per_sequence: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.class_names = class_names
        self.per_sequence = per_sequence
        self.names_for_table(class_names, 'classes', num_classes)

    def wants(self, video: OpenVideo, sample: dict) -> bool:
        """Take all frames.

        Raises:
            ValueError: A frame has no annotation.
        """
        if sample.get('gt_path') is None:
            raise ValueError(
                f'video {video.name}: frame {sample["frame_name"]} has no '
                'annotation; this protocol scores every frame'
            )
        return True

    def job(self, video: OpenVideo) -> Tuple[Callable[..., list], tuple]:
        """Count pixels in confusion matrices."""
        return count_classes, (self.num_classes,)

    def video_result(self, video: OpenVideo) -> dict:
        """Add up the confusion matrix of one video, and its mean IoU."""
        hist = sum(video.outcomes)
        return {
            'video': video.name,
            'mIoU': float(100 * np.nanmean(iou_from_confusion(hist))),
            'confusion': hist.tolist(),
        }

    def summarise(self, results: List[dict]) -> Dict[str, float]:
        """Compute IoU per class and its mean; log the table, write files."""
        hist = np.array([r['confusion'] for r in results]).sum(axis=0)
        iou = 100 * iou_from_confusion(hist)
        annotated = hist.sum(axis=1)
        accuracy = np.full(len(hist), np.nan)
        hit = 100 * np.diag(hist)
        np.divide(hit, annotated, out=accuracy, where=annotated > 0)
        overall = {
            'mIoU': float(np.nanmean(iou)),
            'mean_accuracy': float(np.nanmean(accuracy)),
            'overall_accuracy': float(hit.sum() / hist.sum()),
        }
        columns = ('part', 'IoU', 'accuracy')
        names = self.names_for_table(
            self.class_names, 'classes', self.num_classes
        )
        rows = list(zip(names, iou.tolist(), accuracy.tolist()))
        total = ('mean', overall['mIoU'], overall['mean_accuracy'])
        if self.per_sequence:
            videos = [(result['video'], result['mIoU']) for result in results]
            self.log_table('Videos, percent', ('video', 'mIoU'), videos)
        title = f'{len(results)} videos, percent'
        self.log_table(title, columns, [*rows, total])
        parts = {name: None if np.isnan(i) else i for name, i, _ in rows}
        self.write_results(
            {'overall': overall, 'IoU': parts, 'videos': results},
            columns,
            [*rows, total],
        )
        return overall

    def pooled(self, result: dict) -> Pooled:
        """Count the pixels of each class's intersection and union."""
        hist = np.array(result['confusion'])
        hit = np.diag(hist)
        union = hist.sum(axis=0) + hist.sum(axis=1) - hit
        return Pooled({'mIoU': (100.0 * hit).tolist()}, union.tolist())


def count_classes(
    frames: Sequence[FrameJob], num_classes: int
) -> List[np.ndarray]:
    """Count the pixels of some frames in one confusion matrix.

    Returns:
        List[np.ndarray]: A single ``(C, C)`` int64 matrix (in a list, as the
        results of other jobs are).

    Raises:
        ValueError: An annotation holds an id that is neither a class nor
            void, the prediction one that is no class; or see
            `FrameJob.read_gt`.
    """
    total = np.zeros((num_classes, num_classes), dtype=np.int64)
    for frame in frames:
        gt = frame.read_gt()
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
