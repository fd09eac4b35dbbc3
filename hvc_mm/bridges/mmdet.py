"""HVC's propagation as a tracker of MMDetection's own tracking.

Importing this module needs MMDetection 3.1 or later; a config names it in
``custom_imports``.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional
from unittest.mock import patch

import numpy as np
from mmdet.registry import METRICS, MODELS, VISUALIZERS
from mmdet.structures import DetDataSample
from torch import Tensor

from hvc_mm.engine.other_projects import NO_TRACKING

from .instance_tracker import InstanceTracker

try:
    from mmdet.evaluation import YouTubeVISMetric
    from mmdet.models.mot import BaseMOTModel
    from mmdet.structures import TrackDataSample
    from mmdet.visualization import TrackLocalVisualizer
except ImportError as error:
    raise ImportError(NO_TRACKING) from error


@MODELS.register_module()
class HVCInstanceTracker(InstanceTracker, BaseMOTModel):
    """MMDetection's tracker; see :class:`InstanceTracker` for the arguments.

    Frames of a video may come all at once or a few at a time.
    """

    registry = MODELS

    def predict(
        self,
        inputs: Tensor,
        data_samples: List[TrackDataSample],
        rescale: bool = True,
        **kwargs: Any,
    ) -> List[TrackDataSample]:
        """Find the objects of a video's next frames.

        Args:
            inputs: ``(1, T, 3, h, w)``, normalised and padded.
            data_samples: One, of T frames as :meth:`InstanceTracker.track`
                takes them.
            rescale: Results at the frames' own size, or at ``img_shape``.

        Returns:
            The sample, whose frames have ``pred_track_instances``; key
            frames have ``pred_instances``, too.

        Raises:
            ValueError: For more than one video at a time, or a sample that
                doesn't say which frame it is.
        """
        count = len(data_samples)
        if inputs.dim() != 5 or len(inputs) != 1 or count != 1:
            raise ValueError(
                f'expected one video, (1, T, 3, h, w), and its sample, got '
                f'{tuple(inputs.shape)} and {count} samples: set batch_size=1'
            )
        for image, sample in zip(inputs[0], data_samples[0]):
            self.track(image[None], sample, rescale)
        return data_samples


@VISUALIZERS.register_module()
class HVCTrackLocalVisualizer(TrackLocalVisualizer):
    """MMDetection's visualizer, for predictions alone.

    Its hook asks for the annotation, too, which that of MMDetection 3.3 can't
    draw: it looks for ``instances_id``, and data sets give ``instances_ids``.
    """

    def add_datasample(
        self,
        name: str,
        image: np.ndarray,
        data_sample: Optional[DetDataSample] = None,
        draw_gt: bool = False,
        **kwargs: Any,
    ) -> None:
        """Draw a frame's tracks, as MMDetection does.

        Args:
            name: Of the picture.
            image: ``(H, W, 3)`` uint8, RGB.
            data_sample: The frame's, with ``pred_track_instances``.
            draw_gt: Is not asked.
            **kwargs: MMDetection's.
        """
        super().add_datasample(name, image, data_sample, False, **kwargs)


@METRICS.register_module()
class HVCYouTubeVISMetric(YouTubeVISMetric):
    """MMDetection's metric, for numpy 1.24 and later, too.

    MMDetection 3.3 computes it with ``np.float``, which numpy has dropped.
    """

    def compute_metrics(self, results: list) -> Dict[str, float]:
        """Compute average precision, or write it for the server.

        Args:
            results: MMDetection's, of all videos.

        Returns:
            ``segm_mAP``, ``segm_mAP_50`` and so on, in [0, 1].

        Raises:
            ValueError: Nothing was found, which MMDetection can't score.
        """
        if not self.format_only and not any(found for found, _ in results):
            raise ValueError(
                'no object was found in any video, so that there is nothing '
                'to score: see score_thr, label_map and '
                'tracks.init_score_thr of the tracker, and its weights'
            )
        with patch.object(np, 'float', float, create=True):
            return super().compute_metrics(results)
