"""Strips: a few frames of every video, side by side, with their labels.

H, W: height and width of a frame in pixels; h, w: of a tile, the small
picture of a frame in a strip. Pictures are RGB.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional

import cv2
import numpy as np
from mmengine.hooks import Hook
from mmengine.runner import Runner

from hvc_mm.datasets import write_picture
from hvc_mm.structures import VOSDataSample
from hvc_mm.visualization import (
    FrameLabels,
    caption,
    draw_joints,
    frame_ground_truth,
    frame_image,
    overlay_ids,
    side_by_side,
)

__all__ = ['GROUND_TRUTH', 'STRIPS', 'StripWriter']

# Folders of a run.
STRIPS, GROUND_TRUTH = 'strips', 'ground_truth'
_TILES, _WIDTH = 6, 160
# A tile of 160x90 is 4 kB then, and edges of masks stay clean.
_QUALITY = 80
# Colours tell objects and parts apart; on a tile, words hide them.
_NO_NAMES = ('',) * 256


class StripWriter(Hook):
    """Write a strip of every video: its first, some, and its last frame.

    A strip is written when the last frame of its video is done, so that a
    run that goes on later has it. In a distributed run each process writes
    those of its own videos.

    Args:
        folder: ``<folder>/strips/<video>.jpg`` gets the predictions, and
            ``<folder>/ground_truth/<video>.jpg``, with the frames' names,
            what is annotated, where anything is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._meta: Mapping[str, Any] = {}
        self._strips: Dict[str, List[np.ndarray]] = {}
        self._annotated = False

    def before_test(self, runner: Runner) -> None:
        """Learn the joints and limbs of the data set, where it has any."""
        self._meta = runner.test_dataloader.dataset.metainfo

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Optional[dict] = None,
        outputs: Optional[list] = None,
    ) -> None:
        """Draw those frames of a batch that belong in strips."""
        frames = (data_batch or {}).get('inputs', [None] * len(outputs or ()))
        for frame, sample in zip(frames, outputs or ()):
            if sample.frame_index == 0:
                self._strips = {STRIPS: [], GROUND_TRUTH: []}
                self._annotated = False
            if sample.frame_index in strip_frames(sample.video_length):
                self._add_tiles(frame_image(frame, sample), sample)
            if sample.frame_index == sample.video_length - 1:
                self._write(sample.video)

    def _add_tiles(self, image: np.ndarray, sample: VOSDataSample) -> None:
        predicted = FrameLabels(
            *(
                sample.get(key).cpu().numpy() if key in sample else None
                for key in ('pred_ids', 'pred_joints')
            )
        )
        tile = draw_tile(image, predicted, self._meta)
        self._strips[STRIPS].append(tile)
        truth = frame_ground_truth(sample)
        known = any(part is not None for part in truth)
        self._annotated |= known
        # What isn't annotated is no empty mask: nothing is shown.
        tile = draw_tile(image, truth, self._meta) if known else 0 * tile
        self._strips[GROUND_TRUTH].append(caption(tile, sample.frame_name))

    def _write(self, video: str) -> None:
        for name, tiles in self._strips.items():
            if name == STRIPS or self._annotated:
                path = self.folder / name / f'{video}.jpg'
                write_picture(path, side_by_side(tiles), _QUALITY)


def strip_frames(length: int) -> List[int]:
    """Choose six frames, evenly spaced from the first to the last one.

    Example:
        >>> strip_frames(51), strip_frames(3)
        ([0, 10, 20, 30, 40, 50], [0, 1, 2])
    """
    places = np.linspace(0, length - 1, min(_TILES, length))
    return [int(place) for place in places.round()]


def draw_tile(
    image: np.ndarray, labels: FrameLabels, meta: Mapping[str, Any]
) -> np.ndarray:
    """Shrink a frame, and draw its labels on it.

    Args:
        image: uint8 ``(H, W, 3)``.
        labels: Ids ``(H, W)`` or joints ``(2, J)`` in pixels, or both.
        meta: The data set's, with ``skeleton_links`` and ``joints`` where
            joints are drawn.

    Returns:
        The tile, uint8 ``(h, w, 3)``, 160 pixels wide.
    """
    height, width = image.shape[:2]
    size = (_WIDTH, max(1, round(height * _WIDTH / width)))
    tile = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    if labels.ids is not None:
        ids = cv2.resize(labels.ids, size, interpolation=cv2.INTER_NEAREST)
        tile = overlay_ids(tile, ids, names=_NO_NAMES)
    if labels.joints is not None:
        scale = np.array([[size[0] / width], [size[1] / height]])
        tile = draw_joints(
            tile,
            # Lost joints are negative, and stay so.
            np.asarray(labels.joints) * scale,
            meta.get('skeleton_links', ()),
            meta.get('joints', ()),
        )
    return tile
