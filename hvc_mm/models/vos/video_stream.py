"""What label propagation knows of one video while it runs.

C: feature channels, h w: feature grid.
"""

from __future__ import annotations

import copy
from typing import Any, List

import torch
from torch import Tensor

from hvc_mm.structures import VOSDataSample

__all__ = ['VideoStream']


class VideoStream:
    """Propagate the labels of one video, given features frame by frame.

    A codec encodes what a frame brings, a propagator takes one step, and the
    codec decodes its soft labels. Both know one video. A propagation model
    is a stream itself; :meth:`new_stream` makes others that share its
    network, so that several videos can be under way at once, also in threads
    of their own.

    Args:
        propagator: A :class:`~hvc_mm.models.vos.LabelPropagator`.
        codec: A label codec.
    """

    def __init__(self, propagator: Any, codec: Any) -> None:
        self.propagator = propagator
        self.codec = codec
        self._started = False

    def new_stream(self) -> VideoStream:
        """Make a stream with the same settings, for another video."""
        stream = VideoStream(*copy.deepcopy((self.propagator, self.codec)))
        stream.reset()
        return stream

    @torch.no_grad()
    def propagate(
        self, features: Tensor, sample: VOSDataSample
    ) -> VOSDataSample:
        """Propagate the labels to one frame, the next of the stream.

        Before the first prompt nothing is propagated.

        Args:
            features: Of the frame, ``(1, C, h, w)``, as
                :meth:`LabelPropagationVOS.extract_feat` returns them.
            sample: The frame's, with ``ori_shape``; it may bring new
                objects (``prompt_ids`` or ``prompt_joints``), and masks of
                known ones again (``corrections``; outside of the protocols
                of benchmarks, see :meth:`LabelPropagator.step`).

        Returns:
            The same sample with the codec's prediction (``pred_ids`` or
            ``pred_joints``).

        Raises:
            ValueError: When a prompt holds an object that is known, a
                correction one that is not, or the features' grid changes
                within a video.
        """
        grid = tuple(features.shape[-2:])
        labels = self.codec.encode(sample, grid)
        if labels is not None:
            # The propagator moves them, when it has looked at them.
            labels = labels.to(features.dtype)
        given: List[Any] = [labels]
        if 'corrections' in sample:
            corrections = self.codec.encode_corrections(sample, grid)
            given.append({c: v.to(features) for c, v in corrections.items()})
        soft_labels = None
        if self._started or labels is not None:
            soft_labels = self.propagator.step(features, *given)
            self._started = True
        self.codec.decode(soft_labels, sample)
        return sample

    def reset(self) -> None:
        """Forget the video: the next frame must bring labels."""
        self._started = False
        self.propagator.reset()
        self.codec.reset()
