"""How long the model takes for a frame, kept video by video."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple, Union

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from hvc_mm.utils.files import write_json


class FrameTimer(Hook):
    """Measures features, propagation and decoding; not loading or scoring.

    The clock runs from the model's input on the device to its output; a GPU
    is waited for at both ends. A video's time is written down when its last
    frame is done, so that a run that goes on later has it.

    Args:
        folder: ``<folder>/<video>.json`` gets ``frames`` and ``seconds``. A
            process's first frame is left out of both: it pays for what is
            done once.
    """

    def __init__(self, folder: Union[str, Path]) -> None:
        self.folder = Path(folder)
        self._began = 0.0
        self._last = 0.0
        self._warm = False
        self._handles: List[Any] = []
        self._video: Tuple[int, float] = (0, 0.0)

    def before_test(self, runner: Runner) -> None:
        """Put the clock around the model."""
        self._handles = [
            runner.model.register_forward_pre_hook(self._start),
            runner.model.register_forward_hook(self._stop),
        ]

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Optional[dict] = None,
        outputs: Optional[list] = None,
    ) -> None:
        """Add a batch's time to the videos that its frames are of."""
        share = self._last / max(len(outputs or ()), 1)
        for sample in outputs or ():
            frames, seconds = self._video
            if sample.get('starts_video', False):
                frames, seconds = 0, 0.0
            if self._warm:
                frames, seconds = frames + 1, seconds + share
            self._warm = True
            self._video = (frames, seconds)
            if sample.frame_index == sample.video_length - 1:
                content = {'frames': frames, 'seconds': seconds}
                write_json(self.folder / f'{sample.video}.json', content)

    def after_test(
        self, runner: Runner, metrics: Optional[Dict[str, float]] = None
    ) -> None:
        """Take the clock away."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def _start(self, module: nn.Module, inputs: Any) -> None:
        self._began = _now()

    def _stop(self, module: nn.Module, inputs: Any, outputs: Any) -> None:
        self._last = _now() - self._began


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
