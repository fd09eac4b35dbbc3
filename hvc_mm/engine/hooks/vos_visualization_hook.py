"""Draw the frames of a validation or test run as they are propagated."""

from __future__ import annotations

import os.path as osp
from typing import Optional, Sequence

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from hvc_mm.datasets import read_id_mask, without_void
from hvc_mm.registry import HOOKS
from hvc_mm.structures import VOSDataSample
from hvc_mm.visualization import frame_image


@HOOKS.register_module()
class VOSVisualizationHook(Hook):
    """Draw frames with their predictions on the run's visualizer.

    Args:
        out_dir: Write ``<out_dir>/<video>/<frame>.jpg``; None gives the
            pictures to the visualizer's backends.
        interval: Draw every n-th frame of a video.
        draw_gt: Draw the ground truth on the left, and J over time below,
            where there is one.
        show: Open a window.
        wait_time: Seconds that the window shows a frame; 0 waits for a key.

    Raises:
        ValueError: An interval below 1.
    """

    def __init__(
        self,
        out_dir: Optional[str] = None,
        interval: int = 1,
        draw_gt: bool = False,
        show: bool = False,
        wait_time: float = 0.01,
    ) -> None:
        if interval < 1:
            raise ValueError(f'interval must be at least 1, not {interval}')
        self.out_dir = out_dir
        self.interval = interval
        self.draw_gt = draw_gt
        self.show = show
        self.wait_time = wait_time

    def before_val(self, runner: Runner) -> None:
        """Check the visualizer; see ``before_test``."""
        self.before_test(runner)

    def before_test(self, runner: Runner) -> None:
        """Check that the visualizer can draw what is propagated.

        Raises:
            TypeError: It can't, as mmengine's plain one.
        """
        if not hasattr(runner.visualizer, 'draw'):
            raise TypeError(
                'VOSVisualizationHook needs visualizer=dict('
                "type='VOSLocalVisualizer', ...), not "
                f'{type(runner.visualizer).__name__}'
            )

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Optional[dict] = None,
        outputs: Optional[Sequence[VOSDataSample]] = None,
    ) -> None:
        """Draw the frames of a validation batch; see ``after_test_iter``."""
        self.after_test_iter(runner, batch_idx, data_batch, outputs)

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Optional[dict] = None,
        outputs: Optional[Sequence[VOSDataSample]] = None,
    ) -> None:
        """Draw the frames of a batch.

        Args:
            runner: The run, with its visualizer.
            batch_idx: Not used.
            data_batch: The frames as they were loaded, ``inputs``.
            outputs: Samples with predictions.
        """
        frames = (data_batch or {}).get('inputs', [None] * len(outputs or ()))
        for frame, sample in zip(frames, outputs or ()):
            if sample.frame_index % self.interval == 0:
                self._draw(runner, frame, sample)

    def _draw(
        self,
        runner: Runner,
        frame: Optional[torch.Tensor],
        sample: VOSDataSample,
    ) -> None:
        gt_ids = gt_joints = out_file = None
        if self.draw_gt:
            gt_joints = sample.get('gt_joints')
            if gt_joints is None and sample.get('gt_path'):
                gt_ids = without_void(
                    read_id_mask(sample.gt_path, binarize=None), None
                )
        if self.out_dir is not None:
            name = f'{sample.frame_name}.jpg'
            out_file = osp.join(self.out_dir, sample.video, name)
        runner.visualizer.add_datasample(
            sample.video,
            frame_image(frame, sample),
            sample,
            gt_ids=gt_ids,
            gt_joints=gt_joints,
            show=self.show,
            wait_time=self.wait_time,
            out_file=out_file,
            step=sample.frame_index,
        )
