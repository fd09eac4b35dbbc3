"""Features of a video's frames, one frame at a time.

C: channels, h w: feature grid.
"""

from __future__ import annotations

from typing import Callable, Container, Iterator, Optional, Tuple

import torch
from mmengine.dataset import pseudo_collate
from torch import Tensor

from hvc_mm.models import LabelPropagationVOS

from .frame_source import Frame, FrameSource
from .propagate_in_video import frame_item, frame_pipeline


def video_features(
    model: LabelPropagationVOS,
    source: FrameSource,
    only: Optional[Container[int]] = None,
    pipeline: Optional[Callable[[dict], dict]] = None,
) -> Iterator[Tuple[Frame, Tensor]]:
    """Compute the features that propagation compares.

    Args:
        model: In eval mode.
        source: The frames.
        only: Indices of the frames to compute; None for all.
        pipeline: From a frame to the model's input; by default the one of
            the model's config.

    Yields:
        The frame, and its features ``(C, h, w)`` fp32, of unit length in
        every cell, on the model's device.
    """
    if pipeline is None:
        pipeline = frame_pipeline(getattr(model, 'cfg', None))
    for frame in source:
        if only is not None and frame.index not in only:
            continue
        batch = pseudo_collate([pipeline(frame_item(frame, source))])
        with torch.no_grad():
            inputs = model.data_preprocessor(batch)['inputs']
            yield frame, model.extract_feat(inputs)[0][0]
