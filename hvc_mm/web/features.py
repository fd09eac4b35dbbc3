"""A video's features, computed once for all its propagations.

C: channels; h w: feature grid.
"""

from __future__ import annotations

from pathlib import Path
from typing import List, Optional, Sequence

import numpy as np
import torch
from torch import Tensor

from hvc_mm.apis import FrameSource, video_features
from hvc_mm.models import LabelPropagationVOS
from hvc_mm.models.vos import VideoStream
from hvc_mm.structures import VOSDataSample
from hvc_mm.utils.files import whole_file


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
        path = self.folder / f'{index}.npy'
        if array.nbytes <= self.free_bytes and not path.is_file():
            self.free_bytes -= array.nbytes
            with whole_file(path) as partial:
                np.save(partial, array)


class CachingModel:
    """Do a model's work for one video, with each frame's features computed
    once.

    It takes the model's place in :func:`~hvc_mm.apis.propagate_in_video`.
    The network is shared with other videos. Samples get ``pred_confidence``
    besides ``pred_ids``.

    Args:
        model: In eval mode.
        files: Keep the video's features.
    """

    def __init__(
        self, model: LabelPropagationVOS, files: FeatureFiles
    ) -> None:
        self.model = model
        self.cfg = model.cfg
        self.data_preprocessor = model.data_preprocessor
        self.files = files

    def new_stream(self) -> VideoStream:
        """Make a stream that also tells how sure it is."""
        stream = self.model.new_stream()
        stream.codec.with_confidence = True
        return stream

    @torch.no_grad()
    def predict(
        self,
        inputs: Sequence[Tensor],
        data_samples: List[VOSDataSample],
        stream: VideoStream,
    ) -> List[VOSDataSample]:
        """Propagate to the next frames, as the model's own method does."""
        for image, sample in zip(inputs, data_samples):
            features = self.files.get(sample.frame_index)
            if features is None:
                (features,) = self.model.extract_feat([image])
                self.files.put(sample.frame_index, features)
            stream.propagate(features.to(image.device), sample)
        return data_samples

    def features_of(self, source: FrameSource, index: int) -> Tensor:
        """Get the features ``(C, h, w)`` of one frame of the video."""
        features = self.files.get(index)
        if features is None:
            found = video_features(self.model, source, {index})
            features = next(features for _, features in found)[None]
            self.files.put(index, features)
        return features[0]
