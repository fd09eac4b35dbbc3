"""Encode joints as label channels, and decode them.

Shapes: J joints, H W frame, h w feature grid.
"""

from __future__ import annotations

import math
from typing import Optional, Tuple

import torch
from torch import Tensor

from hvc_mm.registry import TASK_UTILS
from hvc_mm.structures import VOSDataSample

from .mask_codec import nan_labels_error

__all__ = ['JointCodec']

# What a joint's bump covers of its row and column: from p - 1.5 to p + 2.5
# cells (CRW's conversion of JHMDB's joints).
_REACH_BEFORE, _REACH_AFTER = 1.5, 2.5


@TASK_UTILS.register_module()
class JointCodec:
    """Encode joints as one small bump each, decode joints from bumps, as CRW
    does for JHMDB.

    Args:
        topk: How many of a channel's largest cells make the joint.
        sharpness: A bump's values are ``exp(-sharpness * d^2)``, d in cells.

    Raises:
        ValueError: ``topk`` is less than 1.
    """

    def __init__(self, topk: int = 3, sharpness: float = 2.0) -> None:
        if topk < 1:
            raise ValueError(f'topk must be at least 1, not {topk}')
        self.topk = topk
        self.sharpness = sharpness

    def reset(self) -> None:
        """Keep nothing from video to video."""

    def encode(
        self, sample: VOSDataSample, grid: Tuple[int, int]
    ) -> Optional[Tensor]:
        """Draw the joints' bumps on the frame that gives them.

        A joint at ``p`` (in cells, pixels times grid over size) covers the
        cells ``int(p - 1.5)`` to ``int(p + 2.5) - 1``, four each way, cut at
        the border, with ``exp(-sharpness * d^2)`` about the third of them.
        As in CRW, ``int`` drops the fraction, also of negative numbers. A
        joint far out of the frame has an empty channel.

        Args:
            sample: May have ``prompt_joints``, ``(2, J)`` in pixels; with
                ``ori_shape``, the frame's ``(H, W)``.
            grid: ``(h, w)`` of the features.

        Returns:
            ``(1, J + 1, h, w)`` fp32 in [0, 1]; channel 0 is 1 where all
            others are 0. None without ``prompt_joints``.
        """
        joints = sample.get('prompt_joints', None)
        if joints is None:
            return None
        height, width = sample.ori_shape[:2]
        cells = joints.double().cpu()
        columns = (cells[0] * grid[1] / width).tolist()
        rows = (cells[1] * grid[0] / height).tolist()
        bumps = torch.stack(
            [
                self._profile(row, grid[0])[:, None]
                * self._profile(column, grid[1])
                for row, column in zip(rows, columns)
            ]
        )
        background = (bumps.sum(dim=0, keepdim=True) == 0).float()
        return torch.cat([background, bumps])[None]

    def decode(
        self, soft_labels: Optional[Tensor], sample: VOSDataSample
    ) -> Tensor:
        """Write ``pred_joints``, ``(2, J)`` float64 in pixels of the frame.

        A joint is the mean of its channel's largest cells, weighted by their
        values, times the frame's size over the grid's; -1 in both
        coordinates where the channel is all 0.

        Args:
            soft_labels: ``(1, J + 1, h, w)``.
            sample: Gets ``pred_joints``; with ``ori_shape``, the frame's
                ``(H, W)``.

        Returns:
            The soft labels, ``(J + 1, h, w)``.

        Raises:
            ValueError: No labels: a clip's first frame must give its joints.
                A soft label is not a number.
        """
        if soft_labels is None:
            raise ValueError(
                f'video {sample.get("video")}, frame '
                f'{sample.get("frame_name")}: no joints were given yet; '
                'expected prompt_joints on the first frame'
            )
        bumps = soft_labels[0, 1:].float()
        rows, columns = bumps.shape[-2:]
        bumps = bumps.flatten(1)
        values, cells = bumps.topk(min(self.topk, bumps.shape[1]), dim=1)
        weights = values / values.sum(dim=1, keepdim=True)
        x = ((cells % columns) * weights).sum(dim=1).double()
        y = (cells // columns * weights).sum(dim=1).double()
        height, width = sample.ori_shape[:2]
        joints = torch.stack([x * width / columns, y * height / rows])
        # By a mask as index a GPU would be waited for.
        joints.masked_fill_(bumps.sum(dim=1) == 0, -1)
        sample.pred_joints = joints.cpu()
        if not sample.pred_joints.isfinite().all():
            raise nan_labels_error(sample)
        return soft_labels[0]

    def _profile(self, position: float, length: int) -> Tensor:
        """Compute a bump along one axis, ``(length,)``; a joint's channel is
        the product of two."""
        profile = torch.zeros(length)
        first = int(position - _REACH_BEFORE)
        end = int(position + _REACH_AFTER)
        for cell in range(max(first, 0), min(end, length)):
            away = cell - first - 2
            profile[cell] = math.exp(-self.sharpness * away**2)
        return profile
