"""Two random crops of a training image; resizing of a video's frame.

H, W: height and width of the image; S: side of a view, in pixels.
"""

from __future__ import annotations

from typing import Optional, Sequence, Tuple, Union

import mmcv
import numpy as np
import torch
from mmcv.image.geometric import cv2_interp_codes
from mmcv.transforms import BaseTransform
from PIL import Image
from torchvision.transforms import InterpolationMode, RandomResizedCrop
from torchvision.transforms.functional import resized_crop

from hvc_mm.registry import TRANSFORMS

Crop = Tuple[int, int, int, int]


@TRANSFORMS.register_module()
class PairedRandomResizedCrop(BaseTransform):
    """Take two independent random crops and resize both to one size.

    The crops are those of torchvision's ``RandomResizedCrop``: area uniform
    in ``scale`` times the image's, aspect ratio log-uniform in ``ratio``,
    ten attempts, then the largest centre crop of an allowed ratio. The crop
    is cut out first and then resized bilinearly, with anti-aliasing where
    it shrinks (Pillow's filter). No flip and no change of colour (HVC, arXiv
    2404.13505). Random numbers come from torch.

    Required keys: ``img`` (``(H, W, 3)`` uint8). Added keys: ``views``, two
    ``(S, S, 3)`` uint8 arrays, and ``boxes``, two ``(4,)`` float32 arrays:
    see :func:`normalised_box`.

    Args:
        size: S, or (height, width) of a view in pixels.
        scale: Least and greatest share of the image's area.
        ratio: Least and greatest width over height.

    Raises:
        ValueError: A size that isn't positive, or ranges out of order.
    """

    def __init__(
        self,
        size: Union[int, Tuple[int, int]] = 256,
        scale: Tuple[float, float] = (0.0, 1.0),
        ratio: Tuple[float, float] = (3 / 4, 4 / 3),
    ) -> None:
        self.size = (size, size) if isinstance(size, int) else tuple(size)
        self.scale = tuple(scale)
        self.ratio = tuple(ratio)
        if len(self.size) != 2 or min(self.size) < 1:
            raise ValueError(f'size must be positive pixels, not {size}')
        if not 0 <= self.scale[0] <= self.scale[1]:
            raise ValueError(f'scale must be 0 <= low <= high, not {scale}')
        if not 0 < self.ratio[0] <= self.ratio[1]:
            raise ValueError(f'ratio must be 0 < low <= high, not {ratio}')

    def transform(self, results: dict) -> dict:
        """Add ``views`` and ``boxes`` to ``results``."""
        height, width = results['img'].shape[:2]
        image = Image.fromarray(results['img'])
        results['views'], results['boxes'] = [], []
        for _ in range(2):
            crop = draw_crop(height, width, self.scale, self.ratio)
            view = resized_crop(
                image, *crop, list(self.size), InterpolationMode.BILINEAR
            )
            results['views'].append(np.asarray(view))
            results['boxes'].append(normalised_box(crop, height, width))
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(size={self.size}, scale={self.scale}, '
            f'ratio={self.ratio})'
        )


def draw_crop(
    height: int,
    width: int,
    scale: Tuple[float, float],
    ratio: Tuple[float, float],
) -> Crop:
    """Draw a crop as torchvision's ``RandomResizedCrop`` does.

    Returns:
        tuple: First row, first column, rows and columns; the latter two are
        never 0: such a draw counts as a failed attempt.
    """
    # It reads the size alone: an expanded tensor takes no memory.
    image = torch.empty(1).expand(3, height, width)
    return RandomResizedCrop.get_params(image, list(scale), list(ratio))


def normalised_box(crop: Crop, height: int, width: int) -> np.ndarray:
    """Express a crop in units of the image's last column and row.

    0 is the centre of the first pixel and 1 that of the last one. A crop
    ``(i, j, rows, columns)`` becomes
    ``(j/(W-1), i/(H-1), (j+columns-1)/(W-1), (i+rows-1)/(H-1))``, computed in
    double precision and then rounded.

    Returns:
        np.ndarray: ``(4,)`` float32 in [0, 1], ``(x1, y1, x2, y2)``.

    Raises:
        ValueError: An image of one row or column, which has no such units.
    """
    if height < 2 or width < 2:
        raise ValueError(
            f'an image of {width}x{height} pixels has no normalised boxes; '
            'expected at least 2 each way'
        )
    top, left, rows, columns = crop
    corners = [left, top, left + columns - 1, top + rows - 1]
    return (np.array(corners) / ([width - 1, height - 1] * 2)).astype('f4')


@TRANSFORMS.register_module()
class ResizeFrame(BaseTransform):
    """Resize a frame with OpenCV, or leave it as it is.

    Only what the network sees is resized; labels keep the frame's own size.
    'bilinear' has half-pixel centres and no anti-aliasing, as the protocols
    of VIP and JHMDB want it; 'area' averages where a frame shrinks. Changed
    keys: ``img``, ``img_shape``; ``ori_shape`` stays.

    Args:
        size: Height and width in pixels; None for the frame's own.
        interpolation: 'nearest', 'bilinear', 'area', 'bicubic' or 'lanczos'.

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
        if interpolation not in cv2_interp_codes:
            raise ValueError(
                f'interpolation must be one of {sorted(cv2_interp_codes)}, '
                f'not {interpolation!r}'
            )
        self.size = None if size is None else tuple(size)
        self.interpolation = interpolation

    def transform(self, results: dict) -> dict:
        """Resize ``results['img']``."""
        if self.size is None or results['img'].shape[:2] == self.size:
            return results
        results['img'] = mmcv.imresize(
            results['img'],
            self.size[::-1],
            interpolation=self.interpolation,
            backend='cv2',
        )
        results['img_shape'] = self.size
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(size={self.size}, '
            f'interpolation={self.interpolation!r})'
        )
