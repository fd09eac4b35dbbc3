"""Resizing what a network sees; labels keep the frame's own size."""

from __future__ import annotations

from typing import Optional, Sequence

import cv2
from mmcv.transforms import BaseTransform

from hvc_mm.registry import TRANSFORMS

_INTERPOLATIONS = {
    'nearest': cv2.INTER_NEAREST,
    'bilinear': cv2.INTER_LINEAR,
    'area': cv2.INTER_AREA,
    'bicubic': cv2.INTER_CUBIC,
}


@TRANSFORMS.register_module()
class ResizeFrame(BaseTransform):
    """Resize a frame with OpenCV, or leave it as it is.

    'bilinear' has half-pixel centres and no anti-aliasing, as the protocols
    of VIP and JHMDB want it; 'area' averages where a frame shrinks. Changed
    keys: ``img``, ``img_shape``; ``ori_shape`` stays.

    Args:
        size: Height and width in pixels; None for the frame's own.
        interpolation: 'nearest', 'bilinear', 'area' or 'bicubic'.

    Raises:
        ValueError: Not two positive numbers, or an unknown interpolation.
    """

    def __init__(
        self,
        size: Optional[Sequence[int]] = None,
        interpolation: str = 'bilinear',
    ) -> None:
        if size is not None and (len(size) != 2 or min(size) < 1):
            raise ValueError(
                f'size must be (height, width) in pixels or None, not {size}'
            )
        if interpolation not in _INTERPOLATIONS:
            raise ValueError(
                f'interpolation must be one of {sorted(_INTERPOLATIONS)}, '
                f'not {interpolation!r}'
            )
        self.size = None if size is None else tuple(size)
        self.interpolation = interpolation

    def transform(self, results: dict) -> dict:
        """Resize ``results['img']``."""
        if self.size is None or results['img'].shape[:2] == self.size:
            return results
        results['img'] = cv2.resize(
            results['img'],
            self.size[::-1],
            interpolation=_INTERPOLATIONS[self.interpolation],
        )
        results['img_shape'] = self.size
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(size={self.size}, '
            f'interpolation={self.interpolation!r})'
        )
