"""Two random crops of a training image; resizing of a video's frame.

H, W: height and width of the image; S: side of a view, in pixels.
"""

from __future__ import annotations

import math
from typing import Optional, Sequence, Tuple

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from PIL import Image

from hvc_mm.registry import TRANSFORMS

Crop = Tuple[int, int, int, int]

_ATTEMPTS = 10


@TRANSFORMS.register_module()
class PairedRandomResizedCrop(BaseTransform):
    """Take two independent random crops and resize both to one size.

    The draws are those of torchvision's ``RandomResizedCrop``: area uniform
    in ``scale`` times the image's, aspect ratio log-uniform in ``ratio``,
    ten attempts, then the largest centre crop of an allowed ratio. The crop
    is cut out first and then resized bilinearly, with anti-aliasing where
    it shrinks (Pillow's filter). No flip and no change of colour (HVC, arXiv
    2404.13505). Random numbers come from ``numpy.random``.

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
        size: int | Tuple[int, int] = 256,
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
        image = results['img']
        height, width = image.shape[:2]
        crops = [
            draw_crop(height, width, self.scale, self.ratio) for _ in range(2)
        ]
        results['views'] = [resized_crop(image, c, self.size) for c in crops]
        results['boxes'] = [normalised_box(c, height, width) for c in crops]
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

    Args:
        height: Rows of the image.
        width: Columns of the image.
        scale: Range of the crop's share of the area.
        ratio: Range of width over height.

    Returns:
        tuple: first row, first column, rows and columns; the latter two are
        never 0: such a draw counts as a failed attempt.
    """
    log_ratio = (math.log(ratio[0]), math.log(ratio[1]))
    for _ in range(_ATTEMPTS):
        area = height * width * np.random.uniform(*scale)
        aspect = math.exp(np.random.uniform(*log_ratio))
        columns = int(round(math.sqrt(area * aspect)))
        rows = int(round(math.sqrt(area / aspect)))
        if 0 < columns <= width and 0 < rows <= height:
            top = np.random.randint(0, height - rows + 1)
            left = np.random.randint(0, width - columns + 1)
            return top, left, rows, columns
    return _centre_crop(height, width, ratio)


def _centre_crop(height: int, width: int, ratio: Tuple[float, float]) -> Crop:
    rows, columns = height, width
    if width / height < ratio[0]:
        rows = int(round(width / ratio[0]))
    elif width / height > ratio[1]:
        columns = int(round(height * ratio[1]))
    return (height - rows) // 2, (width - columns) // 2, rows, columns


def resized_crop(
    image: np.ndarray, crop: Crop, size: Tuple[int, int]
) -> np.ndarray:
    """Cut ``crop`` out of ``image`` and resize it, anti-aliased bilinear.

    Args:
        image: ``(H, W, 3)`` uint8.
        crop: First row, first column, rows, columns.
        size: Height and width of the result.

    Returns:
        np.ndarray: ``(*size, 3)`` uint8, read-only.
    """
    top, left, rows, columns = crop
    # Pillow takes a contiguous array several times faster than a strided one.
    piece = np.ascontiguousarray(
        image[top : top + rows, left : left + columns]
    )
    view = Image.fromarray(piece).resize(
        (size[1], size[0]), Image.Resampling.BILINEAR
    )
    return np.asarray(view)


def normalised_box(crop: Crop, height: int, width: int) -> np.ndarray:
    """The crop ``(i, j, rows, columns)`` in units of last row and column.

    ``(j/(W-1), i/(H-1), (j+columns-1)/(W-1), (i+rows-1)/(H-1))``, in double
    precision and then rounded.

    Args:
        crop: First row, first column, rows, columns.
        height: H, at least 2.
        width: W, at least 2.

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
    return np.array(
        [
            left / (width - 1),
            top / (height - 1),
            (left + columns - 1) / (width - 1),
            (top + rows - 1) / (height - 1),
        ],
        dtype=np.float32,
    )


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
