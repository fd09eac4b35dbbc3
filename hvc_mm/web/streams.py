"""A stream of its own for each video, on the weights of one model.

C: channels; h w: feature grid.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import List, Optional

import numpy as np
import torch
from torch import Tensor

from hvc_mm.apis import FrameSource, video_features
from hvc_mm.models import LabelPropagationVOS
from hvc_mm.structures import VOSDataSample


class FeatureFiles:
    """Keep the features of a video's frames on disk.

    They take longest to compute, and stay the same when a mask is corrected.
    Files hold them as they were computed, so that nothing differs. When the
    space is used up, later frames are computed anew each time.

    Args:
        folder: Of its own; is made.
        max_bytes: Space that may be used.
    """

    def __init__(self, folder: Path, max_bytes: float = 2e9) -> None:
        self.folder = folder
        self.free_bytes = max_bytes

    def get(self, index: int) -> Optional[Tensor]:
        """Read a frame's features ``(1, C, h, w)``; None without them."""
        path = self.folder / f'{index}.npy'
        return torch.from_numpy(np.load(path)) if path.is_file() else None

    def put(self, index: int, features: Tensor) -> None:
        """Write a frame's features, where there is space left."""
        array = features.cpu().numpy()
        if array.nbytes <= self.free_bytes:
            self.free_bytes -= array.nbytes
            self.folder.mkdir(parents=True, exist_ok=True)
            np.save(self.folder / f'{index}.npy', array)


class VideoStream:
    """Stand for a model in :func:`~hvc_mm.apis.inference.stream_video`.

    The backbone is shared, and only read. What a video changes, the
    propagator and the codec, is the stream's own, so that several streams
    don't disturb each other. Samples get ``pred_confidence``, too.

    Args:
        model: In eval mode, between two videos.
        features: Of the video's frames, as far as they are known.
    """

    def __init__(
        self, model: LabelPropagationVOS, features: FeatureFiles
    ) -> None:
        self.model = copy.copy(model)
        self.model.propagator = copy.deepcopy(model.propagator)
        self.model.codec = copy.deepcopy(model.codec)
        self.model.codec.with_confidence = True
        self.model.reset()
        self.cfg = model.cfg
        self.features = features

    @torch.no_grad()
    def test_step(self, data: dict) -> List[VOSDataSample]:
        """Propagate to the next frames, as the model's own method does."""
        data = self.model.data_preprocessor(data, False)
        for image, sample in zip(data['inputs'], data['data_samples']):
            features = self.features.get(sample.frame_index)
            if features is None:
                (features,) = self.model.extract_feat([image])
                self.features.put(sample.frame_index, features)
            if sample.starts_video:
                self.model.reset()
            self.model.propagate(features.to(image.device), sample)
        return data['data_samples']

    def features_of(self, source: FrameSource, index: int) -> Tensor:
        """Get the features ``(C, h, w)`` of one frame of the video."""
        features = self.features.get(index)
        if features is None:
            found = video_features(self.model, source, {index})
            features = next(feature for _, feature in found)[None]
            self.features.put(index, features)
        return features[0]
