"""Seconds a frame, as the report shows them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import List, Optional

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from hvc_mm.utils.files import write_json

__all__ = ['FrameTimer']


class FrameTimer(Hook):
    """Time features, propagation and decoding; not loading or scoring.

    The clock runs from the model's input on the device to its output; a GPU
    is waited for at both ends. A video's time is written down when its last
    frame is done, so that a run that goes on later has it.

    Args:
        folder: ``<folder>/<video>.json`` gets ``frames`` and ``seconds``. A
            process's first frame is left out of both: it pays for what is
            done once.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._times = [0.0, 0.0]
        self._warm = False
        self._video = {'frames': 0, 'seconds': 0.0}

    def before_test(self, runner: Runner) -> None:
        """Put the clock around the model, for as long as it lives."""
        model, times = runner.model, self._times
        model.register_forward_pre_hook(lambda *_: _note(times))
        model.register_forward_hook(lambda *_: _note(times))

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Optional[dict] = None,
        outputs: Optional[list] = None,
    ) -> None:
        """Add a batch's time to the videos that its frames are of."""
        share = (self._times[1] - self._times[0]) / max(len(outputs or ()), 1)
        for sample in outputs or ():
            if sample.get('starts_video', False):
                self._video = {'frames': 0, 'seconds': 0.0}
            if self._warm:
                self._video['frames'] += 1
                self._video['seconds'] += share
            self._warm = True
            if sample.frame_index == sample.video_length - 1:
                path = self.folder / f'{sample.video}.json'
                write_json(path, self._video)


def _note(times: List[float]) -> None:
    """Put the time at the end of two, when the GPU has done its work."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    times[:] = [times[1], time.perf_counter()]
