"""Two random crops of a training image; resizing of a video's frame.

H, W: height and width of the image; S: side of a view, in pixels.
"""

from __future__ import annotations

import math
from typing import Iterable, Optional, Sequence, Tuple, Union

import mmcv
import numpy as np
import torch
from mmcv.image.geometric import cv2_interp_codes, pillow_interp_codes
from mmcv.transforms import BaseTransform
from PIL import Image
from torchvision.transforms import InterpolationMode, RandomResizedCrop
from torchvision.transforms.functional import resized_crop

from hvc_mm.registry import TRANSFORMS

Crop = Tuple[int, int, int, int]

_INTERPOLATIONS = {'cv2': cv2_interp_codes, 'pillow': pillow_interp_codes}


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
    """Resize a frame, or leave it as it is.

    Only what the network sees is resized; labels keep the frame's own size.
    'bilinear' has half-pixel centres and no anti-aliasing, as the protocols
    of VIP and JHMDB want it; 'area' averages where a frame shrinks. Changed
    keys: ``img``, ``img_shape``; ``ori_shape`` stays.

    Args:
        size: Height and width in pixels; None for the frame's own, or what
            the next arguments make of it.
        interpolation: 'nearest', 'bilinear', 'area', 'bicubic' or 'lanczos'.
        short_side: Pixels of the shorter side (of the height, in a square);
            the other one keeps the ratio.
        long_side: The same of the longer side.
        multiple: Round sides to multiples of so many pixels, e.g. of a
            Vision Transformer's patch.
        round: 'up': both sides are rounded up, as in DINOv3's evaluation.
            'floor': sides are cut, but not one that is given, as in DINO's.
        backend: 'cv2', or 'pillow', which averages where a frame shrinks.

    Raises:
        ValueError: A number that is not positive, several sizes, or an
            unknown word.
    """

    def __init__(
        self,
        size: Optional[Sequence[int]] = None,
        interpolation: str = 'bilinear',
        short_side: Optional[int] = None,
        long_side: Optional[int] = None,
        multiple: Optional[int] = None,
        round: str = 'up',
        backend: str = 'cv2',
    ) -> None:
        if size is not None and (len(size) != 2 or min(size) < 1):
            raise ValueError(
                f'size must be (height, width) in pixels or None, not {size}'
            )
        given = {'short_side': short_side, 'long_side': long_side}
        for name, value in {**given, 'multiple': multiple}.items():
            if value is not None and value < 1:
                raise ValueError(f'{name} must be positive, not {value}')
        if [size, short_side, long_side].count(None) < 2:
            raise ValueError(
                f'size {size} and {given}: expected one of them at most'
            )
        if size is not None and multiple is not None:
            raise ValueError(f'size {size} leaves nothing to round')
        _check_word('round', round, ('up', 'floor'))
        _check_word('backend', backend, _INTERPOLATIONS)
        _check_word('interpolation', interpolation, _INTERPOLATIONS[backend])
        self.size = None if size is None else tuple(size)
        self.interpolation = interpolation
        self.short_side, self.long_side = short_side, long_side
        self.multiple, self.round = multiple, round
        self.backend = backend

    def target_size(self, height: int, width: int) -> Tuple[int, int]:
        """Compute the height and width that a frame is resized to."""
        if self.size is not None:
            return self.size
        side = self.short_side or self.long_side
        if side is None:
            return self._rounded(height), self._rounded(width)
        if self.round == 'up':
            side = self._rounded(side)
        # In a square the height is the given side.
        is_tall = height > width
        if height == width or is_tall == (self.long_side is not None):
            return side, self._rounded(width * side / height)
        return self._rounded(height * side / width), side

    def _rounded(self, side: float) -> int:
        if self.multiple is None:
            return int(side + 0.5)
        count = side / self.multiple
        count = math.ceil(count) if self.round == 'up' else math.floor(count)
        return max(count, 1) * self.multiple

    def transform(self, results: dict) -> dict:
        """Resize ``results['img']``."""
        size = self.target_size(*results['img'].shape[:2])
        if results['img'].shape[:2] == size:
            return results
        results['img'] = mmcv.imresize(
            results['img'],
            size[::-1],
            interpolation=self.interpolation,
            backend=self.backend,
        )
        results['img_shape'] = size
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(size={self.size}, '
            f'interpolation={self.interpolation!r}, '
            f'short_side={self.short_side}, long_side={self.long_side}, '
            f'multiple={self.multiple}, round={self.round!r}, '
            f'backend={self.backend!r})'
        )


def _check_word(name: str, word: str, known: Iterable[str]) -> None:
    if word not in known:
        raise ValueError(
            f'{name} must be one of {sorted(known)}, not {word!r}'
        )
