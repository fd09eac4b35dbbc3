"""Joints of a person <-> the maps that are propagated.

Shapes: J joints, h w feature grid, M = J + 1 channels (0 is background).
"""

from __future__ import annotations

import math
from typing import Optional, Tuple

import torch
from torch import Tensor

from hvc_mm.registry import TASK_UTILS
from hvc_mm.structures import VOSDataSample

# What a map covers of its row and column: from p - 1.5 to p + 2.5 cells.
_REACH_BEFORE, _REACH_AFTER = 1.5, 2.5


@TASK_UTILS.register_module()
class JointCodec:
    """One small bump for each joint, and joints from bumps (CRW's JHMDB).

    Args:
        topk: How many of a map's largest cells make the joint.
        sharpness: A map's values are ``exp(-sharpness * d^2)``, d in cells.

    Raises:
        ValueError: ``topk`` is less than 1.
    """

    def __init__(self, topk: int = 3, sharpness: float = 2.0) -> None:
        if topk < 1:
            raise ValueError(f'topk must be at least 1, not {topk}')
        self.topk = topk
        self.sharpness = sharpness

    def reset(self) -> None:
        """Nothing is kept from frame to frame."""

    def encode(
        self, sample: VOSDataSample, grid: Tuple[int, int]
    ) -> Optional[Tensor]:
        """Draw the joints' maps on the frame that gives them.

        A joint at ``p`` (in cells, pixels times grid over size) covers the
        cells ``int(p - 1.5)`` to ``int(p + 2.5) - 1``, four each way, cut at
        the border, with ``exp(-sharpness * d^2)`` about the third of them.
        As in CRW, ``int`` drops the fraction, also of negative numbers. A
        joint far out of the frame has an empty map.

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
        maps = torch.stack(
            [
                self._profile(row, grid[0])[:, None]
                * self._profile(column, grid[1])
                for row, column in zip(rows, columns)
            ]
        )
        background = (maps.sum(dim=0, keepdim=True) == 0).float()
        return torch.cat([background, maps])[None]

    def decode(
        self, soft_labels: Optional[Tensor], sample: VOSDataSample
    ) -> None:
        """Write ``pred_joints``, ``(2, J)`` float64 in pixels of the frame.

        A joint is the mean of its map's largest cells, weighted by their
        values, times the frame's size over the grid's; -1 in both
        coordinates where the map is all 0.

        Args:
            soft_labels: ``(1, J + 1, h, w)``.
            sample: Gets ``pred_joints``; with ``ori_shape``, the frame's
                ``(H, W)``.

        Raises:
            ValueError: No labels: a clip's first frame must give its joints.
        """
        if soft_labels is None:
            raise ValueError(
                f'video {sample.get("video")}, frame '
                f'{sample.get("frame_name")}: no joints were given yet; '
                'expected prompt_joints on the first frame'
            )
        maps = soft_labels[0, 1:].float()
        rows, columns = maps.shape[-2:]
        maps = maps.flatten(1)
        values, cells = maps.topk(min(self.topk, maps.shape[1]), dim=1)
        weights = values / values.sum(dim=1, keepdim=True)
        x = ((cells % columns) * weights).sum(dim=1).double()
        y = (cells // columns * weights).sum(dim=1).double()
        height, width = sample.ori_shape[:2]
        joints = torch.stack([x * width / columns, y * height / rows])
        joints[:, maps.sum(dim=1) == 0] = -1
        sample.pred_joints = joints.cpu()

    def _profile(self, position: float, length: int) -> Tensor:
        """A bump along one axis, ``(length,)``; maps are products of two."""
        profile = torch.zeros(length)
        first = int(position - _REACH_BEFORE)
        end = int(position + _REACH_AFTER)
        for cell in range(max(first, 0), min(end, length)):
            away = cell - first - 2
            profile[cell] = math.exp(-self.sharpness * away**2)
        return profile
