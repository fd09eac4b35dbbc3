"""Draw the frames of a validation or test run as they are propagated."""

from __future__ import annotations

import os.path as osp
from typing import Optional, Sequence

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import Dataset

from hvc_mm.datasets import write_picture
from hvc_mm.registry import HOOKS
from hvc_mm.structures import VOSDataSample
from hvc_mm.utils.outputs import (
    check_outputs,
    claim_folder,
    claim_on_main_rank,
    dataset_inputs,
    listed_file,
)
from hvc_mm.visualization import (
    FrameLabels,
    frame_ground_truth,
    frame_image,
)


@HOOKS.register_module()
class VOSVisualizationHook(Hook):
    """Draw frames with their predictions on the run's visualizer.

    Args:
        out_dir: Write ``<out_dir>/<video>/<frame>.jpg``, instead of an
            earlier run's pictures; None gives the pictures to the
            visualizer's backends.
        interval: Draw every n-th frame of a video.
        draw_gt: Draw the ground truth on the left, and J over time below,
            where there is one.
        show: Open a window.
        wait_time: Seconds that the window shows a frame; 0 waits for a key.
        force: Keep other files in ``out_dir``; see `claim_folder`.

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
        force: bool = False,
    ) -> None:
        if interval < 1:
            raise ValueError(f'interval must be at least 1, not {interval}')
        self.out_dir = out_dir
        self.interval = interval
        self.draw_gt = draw_gt
        self.show = show
        self.wait_time = wait_time
        self.force = force
        self._claimed = False

    def before_val(self, runner: Runner) -> None:
        """Check visualizer and folder; see ``before_test``."""
        self._prepare(runner, runner.val_dataloader.dataset)

    def before_test(self, runner: Runner) -> None:
        """Check that the visualizer can draw, and the folder may be written.

        Raises:
            TypeError: It can't, as mmengine's plain one.
            ValueError, OSError: See `check_outputs` and `claim_folder`.
        """
        self._prepare(runner, runner.test_dataloader.dataset)

    def _prepare(self, runner: Runner, dataset: Dataset) -> None:
        if not hasattr(runner.visualizer, 'draw'):
            raise TypeError(
                'VOSVisualizationHook needs visualizer=dict('
                "type='VOSLocalVisualizer', ...), not "
                f'{type(runner.visualizer).__name__}'
            )
        if self.out_dir is not None and not self._claimed:
            check_outputs([self.out_dir], dataset_inputs(dataset))
            claim_on_main_rank(lambda: claim_folder(self.out_dir, self.force))
            self._claimed = True

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
        gt = frame_ground_truth(sample) if self.draw_gt else FrameLabels()
        visualizer, image = runner.visualizer, frame_image(frame, sample)
        if self.out_dir is None:
            visualizer.add_datasample(
                sample.video,
                image,
                sample,
                gt_ids=gt.ids,
                gt_joints=gt.joints,
                show=self.show,
                wait_time=self.wait_time,
                step=sample.frame_index,
            )
            return
        # Not by `add_datasample`, which only the main rank runs.
        picture = visualizer.draw(image, sample, *gt)
        if self.show:
            visualizer.show(picture, sample.video, wait_time=self.wait_time)
        path = osp.join(self.out_dir, sample.video, f'{sample.frame_name}.jpg')
        with listed_file(path, self.out_dir) as partial:
            write_picture(partial, picture)
