"""Work on one video: masks are given, propagated and corrected.

H, W: height and width of a frame in pixels; an *id mask* is ``(H, W)`` uint8,
0 background, 1.. objects.
"""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path
from typing import Dict, Iterator, NamedTuple, Optional, Sequence, Set

import cv2
import mmcv
import numpy as np

from hvc_mm.apis import FrameSource, PromptMasks
from hvc_mm.apis.inference import stream_video
from hvc_mm.datasets import (
    objects_in,
    read_id_mask,
    write_id_mask,
    write_picture,
)
from hvc_mm.models import LabelPropagationVOS
from hvc_mm.structures import VOSDataSample
from hvc_mm.visualization import point_affinity

from .features import CachingModel, FeatureFiles

# Frames whose mean time tells how long the rest will take.
_TIMED = 20


class Step(NamedTuple):
    """How far a job is.

    Attributes:
        count: Frames that are finished.
        total: Frames in all.
        seconds_left: An estimate; None where there is none yet.
    """

    count: int
    total: int
    seconds_left: Optional[float] = None


class VideoWork:
    """Keep a video's masks, and propagate them.

    Masks are given on any frame (:meth:`edit`) and propagated to the frames
    after it; results are files. When a mask is corrected, results of earlier
    frames stay, and those from there on are made anew.

    Args:
        folder: Of the video's own; pictures of all frames are in
            ``pictures``, see :func:`~hvc_mm.web.uploads.save_pictures`.
        source: The video, whose length is known.
        model: Shared with other videos.

    Attributes:
        size: ``(H, W)``.
        names: Of objects, by id.
        given: Masks ``(H, W)`` bool by frame index and object id.
        done: So many frames, from the first one on, have results that are up
            to date.
        confidence: Of the results, by frame index and object id: mean of
            :meth:`confidence_map` over the object.
    """

    def __init__(
        self, folder: Path, source: FrameSource, model: LabelPropagationVOS
    ) -> None:
        self.folder = folder
        self.source = source
        self.length: int = source.length
        self.temperature = model.propagator.temperature
        self.names = {1: 'object 1'}
        self.given: Dict[int, Dict[int, np.ndarray]] = {}
        self.done = 0
        self.confidence: Dict[int, Dict[int, float]] = {}
        # Id masks that were painted since the frames' results.
        self._painted: Dict[int, np.ndarray] = {}
        self._model = CachingModel(model, FeatureFiles(folder / 'features'))
        self.size = self.picture(0).shape[:2]

    def picture(self, index: int) -> np.ndarray:
        """Read a frame to look at, RGB ``(H, W, 3)``.

        Raises:
            ValueError: There is no such frame.
        """
        return mmcv.imread(
            str(self._file('pictures', index, '.jpg')), channel_order='rgb'
        )

    def ids(self, index: int) -> np.ndarray:
        """Get what there is of a frame's id mask: as it was painted, else
        the latest result, else nothing."""
        path = self._file('masks', index)
        if index in self._painted:
            return self._painted[index]
        if path.is_file():
            return read_id_mask(path, binarize=None)
        return np.zeros(self.size, np.uint8)

    def confidence_map(self, index: int) -> Optional[np.ndarray]:
        """Read the soft label by which each pixel got its object.

        Returns:
            ``(H, W)`` in [0, 1], in steps of 1/255; None for frames without
            a result.
        """
        path = self._file('confidence', index)
        if not path.is_file():
            return None
        levels = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        return levels / np.float32(255)

    def affinity(
        self, point: Sequence[int], point_frame: int, index: int
    ) -> np.ndarray:
        """Compute how alike a point and every place of a frame are.

        Args:
            point: x and y in pixels.
            point_frame: Index of the frame that the point is in.
            index: Of the frame to look at.

        Returns:
            ``(h, w)`` in (0, 1], on the feature grid; see
            :func:`~hvc_mm.visualization.point_affinity`.

        Raises:
            ValueError: The point is outside of the frame.
        """
        (height, width), (x, y) = self.size, point
        if not (0 <= x < width and 0 <= y < height):
            raise ValueError(
                f'the point ({x}, {y}) is outside of the frame of '
                f'{width}x{height} pixels'
            )
        features = self._model.features_of(self.source, point_frame)
        rows, columns = features.shape[1:]
        query = features[:, y * rows // height, x * columns // width]
        features = self._model.features_of(self.source, index)
        heat, _ = point_affinity(query, features, self.temperature)
        return heat.cpu().numpy()

    def edit(self, index: int, ids: np.ndarray) -> None:
        """Take a frame's id mask as a user left it.

        The objects that are no longer as in :meth:`ids` are given from now
        on, an erased one as an empty mask; the others are propagated.

        Args:
            index: Of the frame.
            ids: ``(H, W)`` uint8.

        Raises:
            ValueError: There is no such frame, or the mask has another size.
        """
        before = self.ids(index)
        if ids.shape != before.shape:
            raise ValueError(
                f'the mask has shape {ids.shape}; expected {before.shape}'
            )
        present = {*objects_in(ids), *objects_in(before)}
        changed = {i for i in present if ((ids == i) != (before == i)).any()}
        if changed:
            again = changed | set(self.given.get(index, {}))
            self.given[index] = {i: ids == i for i in sorted(again)}
            self._painted[index] = ids.copy()
            self.done = min(self.done, index)

    def forget(self, index: int) -> None:
        """Take back what was given on a frame, and its result."""
        if self.given.pop(index, None) is not None:
            self._file('masks', index).unlink(missing_ok=True)
            self._painted.pop(index, None)
            self.done = min(self.done, index)

    def prompts(self) -> Dict[int, Dict[int, np.ndarray]]:
        """Collect what is given, as ``propagate_in_video`` takes it.

        An object that is empty before it has begun is left out.
        """
        begun: Set[int] = set()
        masks = {}
        for index in sorted(self.given):
            chosen = {
                object_id: mask
                for object_id, mask in self.given[index].items()
                if object_id in begun or mask.any()
            }
            begun.update(chosen)
            if chosen:
                masks[index] = chosen
        return masks

    def propagate(self) -> Iterator[Step]:
        """Propagate what is given, up to the video's end.

        Results are those of :func:`~hvc_mm.apis.propagate_in_video` with
        :meth:`prompts`. Features are computed once for each frame. A caller
        that stops to iterate keeps what is done.

        Yields:
            How far it is, after each frame.

        Raises:
            ValueError: There is no object.
        """
        masks = self.prompts()
        if not masks:
            raise ValueError('there is no object yet; paint one first')
        up_to_date = self.done
        times = deque([time.time()], maxlen=_TIMED)
        for frame, sample in stream_video(
            self._model, self.source, PromptMasks(masks)
        ):
            if frame.index >= up_to_date:
                self._keep(frame.index, sample)
            times.append(time.time())
            mean = (times[-1] - times[0]) / (len(times) - 1)
            count = frame.index + 1
            yield Step(count, self.length, mean * (self.length - count))

    def _keep(self, index: int, sample: VOSDataSample) -> None:
        ids = sample.pred_ids.numpy()
        write_id_mask(self._file('masks', index), ids)
        if 'pred_confidence' in sample:  # there is an object
            levels = sample.pred_confidence.clamp(0, 1).numpy()
            self.confidence[index] = {
                i: float(levels[ids == i].mean()) for i in objects_in(ids)
            }
            levels = (levels * 255).round().astype(np.uint8)
            write_picture(self._file('confidence', index), levels[..., None])
        self._painted.pop(index, None)
        self.done = index + 1

    def _file(self, kind: str, index: int, suffix: str = '.png') -> Path:
        if not 0 <= index < self.length:
            raise ValueError(
                f'there is no frame {index}; the last one is {self.length - 1}'
            )
        return self.folder / kind / f'{index:05d}{suffix}'
