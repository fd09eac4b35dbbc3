"""Mean IoU of parts carried through videos (VIP).

Legend: C: classes, background among them.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np
from mmengine.logging import print_log

from hvc_mm.registry import METRICS

from ..functional import iou_from_confusion
from .frame_scoring import count_classes
from .mask_metric import MaskMetric
from .score_table import render_table
from .video_metric import OpenVideo


@METRICS.register_module()
class MeanIoUMetric(MaskMetric):
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
        kwargs: See `MaskMetric`.

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
        if class_names is not None:
            self._check_names(class_names)

    def wants(self, video: OpenVideo, sample: dict) -> bool:
        """All frames.

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
        """Confusion matrices."""
        return count_classes, (self.num_classes,)

    def video_result(self, video: OpenVideo) -> dict:
        """The confusion matrix of one video, and its mean IoU."""
        hist = sum(video.outcomes)
        return {
            'video': video.name,
            'mIoU': float(100 * np.nanmean(iou_from_confusion(hist))),
            'confusion': hist.tolist(),
        }

    def summarise(self, results: List[dict]) -> Dict[str, float]:
        """IoU per class and its mean; logs the table, writes the files.

        Raises:
            ValueError: No video came.
        """
        if not results:
            raise ValueError('no video came; there is no IoU to compute')
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
        rows = [
            (name, float(i), float(a))
            for name, i, a in zip(self._names(), iou, accuracy)
        ]
        total = ('mean', overall['mIoU'], overall['mean_accuracy'])
        if self.per_sequence:
            videos = [(result['video'], result['mIoU']) for result in results]
            print_log(
                render_table('Videos', ('video', 'mIoU'), videos), 'current'
            )
        title = f'{len(results)} videos'
        print_log(render_table(title, columns, [*rows, total]), 'current')
        parts = {name: None if np.isnan(i) else i for name, i, _ in rows}
        self.write_results(
            {'overall': overall, 'IoU': parts, 'videos': results},
            columns,
            [*rows, total],
        )
        return overall

    def _names(self) -> List[str]:
        names = self.class_names or (self.dataset_meta or {}).get('classes')
        if names is None:
            return [str(i) for i in range(self.num_classes)]
        self._check_names(names)
        return list(names)

    def _check_names(self, names: Sequence[str]) -> None:
        if len(names) != self.num_classes:
            raise ValueError(
                f'{len(names)} class names for {self.num_classes} classes'
            )
