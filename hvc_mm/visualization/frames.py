"""What there is to draw of a frame: its image, its ground truth.

H, W: height and width of a frame in pixels; J: joints.
"""

from __future__ import annotations

from typing import NamedTuple, Optional

import mmcv
import numpy as np
from torch import Tensor

from hvc_mm.datasets import read_id_mask, read_image, without_void
from hvc_mm.structures import VOSDataSample

from .panels import as_rgb


class FrameLabels(NamedTuple):
    """What is annotated or predicted on a frame; None for what is not.

    Attributes:
        ids: uint8 ``(H, W)``, 0 where there is no object, or void.
        joints: ``(2, J)``, x and y in pixels.
    """

    ids: Optional[np.ndarray] = None
    joints: Optional[np.ndarray] = None


def frame_image(frame: Optional[Tensor], sample: VOSDataSample) -> np.ndarray:
    """Get a frame at its own size, RGB ``(H, W, 3)`` uint8.

    ``frame``, BGR ``(3, h, w)`` as the network sees it, is taken where it has
    that size; else the sample's ``img_path`` is read.
    """
    if frame is not None and frame.shape[-2:] == tuple(sample.ori_shape):
        return as_rgb(frame)
    return mmcv.bgr2rgb(read_image(sample.img_path))


def frame_ground_truth(sample: VOSDataSample) -> FrameLabels:
    """Read what a sample's ``gt_joints`` or ``gt_path`` hold."""
    joints = sample.get('gt_joints')
    if joints is not None:
        return FrameLabels(joints=joints)
    if not sample.get('gt_path'):
        return FrameLabels()
    stored = read_id_mask(sample.gt_path, binarize=None)
    return FrameLabels(ids=without_void(stored, None))
