"""Draw the frames of a test run as they are propagated."""

from __future__ import annotations

import os.path as osp
from typing import Optional, Sequence

import mmcv
from mmengine.hooks import Hook
from mmengine.runner import Runner

from hvc_mm.datasets.mask_io import read_id_mask
from hvc_mm.registry import HOOKS
from hvc_mm.structures import VOSDataSample


@HOOKS.register_module()
class VOSVisualizationHook(Hook):
    """Hand frames with their predicted masks to the run's visualizer.

    Args:
        out_dir: Write ``<out_dir>/<video>/<frame>.jpg``; None hands the
            pictures to the visualizer's backends.
        interval: Draw every n-th frame of a video.
        draw_gt: Draw the ground truth beside, where there is one.
    """

    def __init__(
        self,
        out_dir: Optional[str] = None,
        interval: int = 1,
        draw_gt: bool = False,
    ) -> None:
        self.out_dir = out_dir
        self.interval = interval
        self.draw_gt = draw_gt

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
            batch_idx: Index of the batch.
            data_batch: Unused: frames are read again at their full size.
            outputs: Samples with ``pred_ids``.
        """
        for sample in outputs or ():
            if sample.frame_index % self.interval:
                continue
            image = mmcv.imread(sample.img_path, channel_order='rgb')
            gt_ids = None
            if self.draw_gt and sample.get('gt_path'):
                gt_ids = read_id_mask(sample.gt_path)
            out_file = None
            if self.out_dir is not None:
                name = f'{sample.frame_name}.jpg'
                out_file = osp.join(self.out_dir, sample.video, name)
            runner.visualizer.add_datasample(
                sample.video,
                image,
                sample,
                gt_ids=gt_ids,
                out_file=out_file,
                step=sample.frame_index,
            )
