"""Images and id masks, read such that a damaged file is always noticed.

OpenCV decodes JPEGs nearly twice as fast as Pillow, to the same pixels, but
fills up a truncated one with grey and says nothing; Pillow refuses it. So a
JPEG goes to OpenCV when it ends as a whole one does, and to Pillow else.

H, W: height and width of a frame in pixels; an *id mask* is ``(H, W)`` uint8,
0 background, 1.. objects, 255 void.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import List, Optional, Tuple, Union

import cv2
import numpy as np
from PIL import Image

from hvc_mm.utils.files import whole_file

PathLike = Union[str, Path]

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')

_JPEG_START = b'\xff\xd8\xff'
_JPEG_END = b'\xff\xd9'

# What Pillow raises for files that are no images, cut off, or absurdly big.
_PILLOW_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    Image.DecompressionBombError,
)


class BrokenImageError(OSError):
    """An image file that is missing, cut off, or no image."""


def read_image(path: PathLike) -> np.ndarray:
    """Read an image as 8-bit colour; no rotation by EXIF tags.

    Args:
        path: A file of any format that Pillow knows. Grey values and
            palettes are turned to colours, transparency is dropped.

    Returns:
        np.ndarray: ``(H, W, 3)`` uint8, BGR, contiguous.

    Raises:
        BrokenImageError: With the file's name and what is wrong with it.
    """
    try:
        data = Path(path).read_bytes()
        if data[:3] == _JPEG_START and data.rstrip(b'\0')[-2:] == _JPEG_END:
            image = cv2.imdecode(
                np.frombuffer(data, np.uint8),
                cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION,
            )
            if image is not None:
                return image
        with Image.open(io.BytesIO(data)) as opened:
            rgb = np.asarray(opened.convert('RGB'))
        return cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    except (*_PILLOW_ERRORS, cv2.error) as error:
        raise BrokenImageError(_complaint(path, error)) from error


def read_image_size(path: PathLike) -> Tuple[int, int]:
    """Height and width from the file's header; pixels are not decoded.

    Args:
        path: An image file.

    Returns:
        tuple[int, int]: ``(H, W)`` in pixels.

    Raises:
        BrokenImageError: With the file's name and what is wrong with it.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
    except _PILLOW_ERRORS as error:
        raise BrokenImageError(_complaint(path, error)) from error
    return height, width


def _complaint(path: PathLike, error: Exception) -> str:
    if not os.path.exists(path):
        return f'no image file {path}'
    if isinstance(error, Image.UnidentifiedImageError):
        error = 'it is empty or in no known image format'
    return f'cannot read the image {path}: {error}; expected a whole image'


# The modes whose stored sample *is* the id. 'P' holds palette indices, 'L'
# grey values, '1' a single object; nothing else keeps ids unambiguous.
_ID_MODES = ('P', 'L', '1')


def davis_palette() -> np.ndarray:
    """The palette of DAVIS (and PASCAL VOC) annotation files.

    Bit ``3 k + c`` of an id becomes bit ``7 - k`` of its colour channel
    ``c``, so that neighbouring ids get colours far apart.

    Returns:
        np.ndarray: ``(256, 3)`` uint8, the RGB colour of every id.
    """
    ids = np.arange(256)[:, None]
    channel = np.arange(3)
    colours = np.zeros((256, 3), dtype=np.uint8)
    for k in range(3):
        bit = (ids >> (3 * k + channel)) & 1
        colours |= (bit << (7 - k)).astype(np.uint8)
    return colours


def read_id_mask(path: PathLike) -> np.ndarray:
    """Read an id mask; colours of a palette are never looked at.

    Args:
        path: A palette, 8-bit greyscale or 1-bit image. A 1-bit image gives
            the ids 0 and 1; a greyscale one its values as they are.

    Returns:
        np.ndarray: ``(H, W)`` uint8, writable.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no image, is cut off, or stores colours or more
            than 8 bits a pixel, from which ids can't be told.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f'no mask file {path}')
    try:
        with Image.open(path) as image:
            mode = image.mode
            # A copy: the array must outlive the file, and be writable.
            ids = np.array(image) if mode in _ID_MODES else None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        # PIL reports a damaged PNG as any of these.
        raise ValueError(
            f'cannot read the mask {path}: {error}; expected a whole '
            'palette or greyscale PNG'
        ) from error
    if ids is None:
        raise ValueError(
            f'the mask {path} has mode {mode!r}; expected a palette (P) or '
            '8-bit greyscale (L) PNG, whose pixels are object ids'
        )
    return ids.astype(np.uint8, copy=False)


def write_id_mask(path: PathLike, ids: np.ndarray) -> None:
    """Write an id mask as a palette PNG with DAVIS's palette.

    The file appears under its name only when it is complete, so that a run
    that is killed leaves no half mask behind.

    Args:
        path: Where to; missing folders are made.
        ids: ``(H, W)`` bool or integer, values in 0..255.

    Raises:
        ValueError: Another shape, type or range, or an empty mask.
    """
    path = Path(path)
    ids = np.asarray(ids)
    if ids.ndim != 2 or ids.size == 0:
        raise ValueError(
            f'mask for {path} has shape {ids.shape}; expected (H, W)'
        )
    if ids.dtype != np.uint8:
        if ids.dtype.kind not in 'bui':
            raise ValueError(
                f'mask for {path} has type {ids.dtype}; expected integer ids'
            )
        if ids.dtype.kind != 'b' and (ids.min() < 0 or ids.max() > 255):
            raise ValueError(
                f'mask for {path} has ids {ids.min()}..{ids.max()}; '
                'a palette PNG holds 0..255'
            )
        ids = ids.astype(np.uint8)
    image = Image.fromarray(np.ascontiguousarray(ids))
    image.putpalette(davis_palette().tobytes())
    with whole_file(path) as partial:
        image.save(partial, format='PNG')


VOID = 255


def without_void(ids: np.ndarray, binary: Optional[bool]) -> np.ndarray:
    """Turn a mask as it is stored into plain ids.

    Args:
        ids: ``(H, W)`` uint8.
        binary: See :class:`~hvc_mm.datasets.Prompt`.

    Returns:
        np.ndarray: ``(H, W)`` uint8, void as 0, a binary mask's object as 1.
    """
    if binary is None:
        binary = set(objects_in(ids)) == {VOID}
    if binary:
        return (ids > 0).astype(np.uint8)
    return np.where(ids == VOID, 0, ids).astype(np.uint8)


def objects_in(ids: np.ndarray) -> List[int]:
    """The values above 0 that an ``(H, W)`` uint8 mask holds, ascending."""
    return (np.flatnonzero(np.bincount(ids.ravel())[1:]) + 1).tolist()
