"""Seconds a frame, as the report shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from mmengine.hooks import Hook
from mmengine.runner import Runner

from hvc_mm.utils.files import write_json

__all__ = ['FrameTimer']


class FrameTimer(Hook):
    """Keep the time of features, propagation and decoding of each video.

    It is written down when a video's last frame is done, so that a run that
    goes on later has it.

    Args:
        folder: ``<folder>/<video>.json`` gets ``frames`` and ``seconds``. A
            process's first frame is left out of both: it pays for what is
            done once.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._warm = False
        self._video = {'frames': 0, 'seconds': 0.0}

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Optional[dict] = None,
        outputs: Optional[list] = None,
    ) -> None:
        """Add the ``seconds`` of a batch's samples to their videos."""
        for sample in outputs or ():
            if sample.get('starts_video', False):
                self._video = {'frames': 0, 'seconds': 0.0}
            if self._warm:
                self._video['frames'] += 1
                self._video['seconds'] += sample.seconds
            self._warm = True
            if sample.frame_index == sample.video_length - 1:
                path = self.folder / f'{sample.video}.json'
                write_json(path, self._video)
