"""HVC's propagation as a tracker of MMTracking 1.x.

Importing this module needs MMTracking; a config names it in
``custom_imports``.
"""

from __future__ import annotations

from typing import Any, Dict, List

from mmtrack.models.mot import BaseMultiObjectTracker
from mmtrack.registry import MODELS
from mmtrack.structures import TrackDataSample
from torch import Tensor

from .instance_tracker import InstanceTracker


@MODELS.register_module()
class HVCInstanceTracker(InstanceTracker, BaseMultiObjectTracker):
    """MMTracking's tracker; see :class:`InstanceTracker` for the arguments."""

    registry = MODELS
    detections = 'pred_det_instances'

    def predict(
        self,
        inputs: Dict[str, Tensor],
        data_samples: List[TrackDataSample],
        rescale: bool = True,
        **kwargs: Any,
    ) -> List[TrackDataSample]:
        """Find the objects of a video's next frame.

        Args:
            inputs: ``img``: ``(1, 1, 3, h, w)``, normalised and padded.
            data_samples: One, as :meth:`InstanceTracker.track` takes it.
            rescale: Results at the frame's own size, or at ``img_shape``.

        Returns:
            The sample with ``pred_track_instances``; on key frames with
            ``pred_det_instances``, too.

        Raises:
            ValueError: For more than one frame at a time, or a sample that
                doesn't say which frame it is.
        """
        image, count = inputs['img'], len(data_samples)
        if image.dim() != 5 or image.shape[:2] != (1, 1) or count != 1:
            raise ValueError(
                f'expected one frame, (1, 1, 3, h, w), and its sample, got '
                f'{tuple(image.shape)} and {count} samples: set '
                'batch_size=1 and ref_img_sampler=None'
            )
        self.track(image[:, 0], data_samples[0], rescale)
        return data_samples
