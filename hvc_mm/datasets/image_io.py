"""Images and id masks, read such that a damaged file is always noticed.

H, W: height and width in pixels. An *id mask* is ``(H, W)`` uint8: 0
background, 1.. objects, 255 void.
"""

from __future__ import annotations

import io
import os
import os.path as osp
import re
from pathlib import Path
from typing import List, Optional, Sequence, Tuple, Union

import cv2
import numpy as np
from PIL import Image

from hvc_mm.utils.files import whole_file

PathLike = Union[str, Path]

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')

# Pixels of no known object, in DAVIS, PASCAL VOC and VIP alike.
VOID = 255

# The modes whose stored sample *is* the id. 'P' holds palette indices, 'L'
# grey values, '1' a single object; nothing else keeps ids unambiguous.
_ID_MODES = ('P', 'L', '1')

# JPEG (ITU-T T.81, table B.1): what a file begins and ends with, what opens
# a scan, and any marker but the restarts that belong inside a scan.
_JPEG_START = b'\xff\xd8\xff'
_JPEG_END = b'\xff\xd9'
_JPEG_SCAN = b'\xff\xda'
_JPEG_MARKER = re.compile(rb'\xff[^\x00\xd0-\xd7]', re.DOTALL)

# What Pillow raises for files that are no images, cut off, or absurdly big.
_PILLOW_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    Image.DecompressionBombError,
)


class BrokenImageError(OSError):
    """An image file that is missing, damaged, or no image."""


def list_images(
    folder: PathLike,
    suffixes: Sequence[str] = IMAGE_SUFFIXES,
    recursive: bool = False,
) -> List[str]:
    """List the images of a folder, told by their suffix.

    Hidden files are left out: a copy from a Mac brings ``._00000.jpg``
    files, which are no images.

    Args:
        folder: The folder; an absent one has no images.
        suffixes: What names of images end in, in small letters.
        recursive: List the images of all subfolders too.

    Returns:
        list[str]: Sorted paths.

    Raises:
        OSError: A folder may not be read.
    """
    found = []
    for parent, _, names in os.walk(folder, onerror=_fail, followlinks=True):
        found += [
            osp.join(parent, name)
            for name in names
            if name.lower().endswith(tuple(suffixes)) and name[0] != '.'
        ]
        if not recursive:
            break
    return sorted(found)


def read_image(path: PathLike) -> np.ndarray:
    """Read an image as 8-bit colour; no rotation by EXIF tags.

    OpenCV decodes JPEGs in three quarters of Pillow's time, to the same
    pixels, but fills up a damaged one with grey and says nothing; Pillow
    refuses it. So a JPEG goes to OpenCV where its markers are those of a
    whole file of one scan. All other images go to Pillow.

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
        if _is_plain_jpeg(data):
            image = cv2.imdecode(
                np.frombuffer(data, np.uint8),
                cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION,
            )
            if image is not None:
                return image
        rgb = np.asarray(_decode(data).convert('RGB'))
        return cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    except (*_PILLOW_ERRORS, cv2.error) as error:
        raise BrokenImageError(_complaint(path, error)) from error


def read_image_size(path: PathLike) -> Tuple[int, int]:
    """Read ``(H, W)`` from a file's header, without its pixels.

    Raises:
        BrokenImageError: With the file's name and what is wrong with it.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
    except _PILLOW_ERRORS as error:
        raise BrokenImageError(_complaint(path, error)) from error
    return height, width


def davis_palette() -> np.ndarray:
    """Compute the palette of DAVIS (and PASCAL VOC) annotation files.

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
    """Read an id mask; colours of a palette are ignored.

    Args:
        path: A palette, 8-bit greyscale or 1-bit image. A 1-bit image gives
            the ids 0 and 1; a greyscale one its values as they are.

    Returns:
        np.ndarray: ``(H, W)`` uint8, writable.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no image, is damaged, or stores colours or more
            than 8 bits a pixel, from which ids can't be told.
    """
    if not osp.isfile(path):
        raise FileNotFoundError(f'no mask file {path}')
    try:
        image = _decode(Path(path).read_bytes())
    except _PILLOW_ERRORS as error:
        raise ValueError(
            f'cannot read the mask {path}: {error}; expected a whole '
            'palette or greyscale PNG'
        ) from error
    if image.mode not in _ID_MODES:
        raise ValueError(
            f'the mask {path} has mode {image.mode!r}; expected a palette (P) '
            'or 8-bit greyscale (L) PNG, whose pixels are object ids'
        )
    return np.array(image, dtype=np.uint8)


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
    ids = np.asarray(ids)
    if ids.ndim != 2 or ids.size == 0:
        raise ValueError(
            f'mask for {path} has shape {ids.shape}; expected (H, W)'
        )
    if ids.dtype.kind not in 'bui':
        raise ValueError(
            f'mask for {path} has type {ids.dtype}; expected integer ids'
        )
    if ids.min() < 0 or ids.max() > 255:
        raise ValueError(
            f'mask for {path} has ids {ids.min()}..{ids.max()}; '
            'a palette PNG holds 0..255'
        )
    image = Image.fromarray(np.ascontiguousarray(ids, dtype=np.uint8))
    image.putpalette(davis_palette().tobytes())
    with whole_file(path) as partial:
        image.save(partial, format='PNG')


def objects_in(ids: np.ndarray) -> List[int]:
    """List the values above 0 that an ``(H, W)`` uint8 mask holds, sorted."""
    # Far faster than np.unique, which sorts all pixels.
    return (np.flatnonzero(np.bincount(ids.ravel())[1:]) + 1).tolist()


def is_binary_mask(ids: np.ndarray) -> bool:
    """Tell whether a mask ``(H, W)`` holds 255 and no id but 0 besides.

    So DAVIS-2016 draws its one object.
    """
    return objects_in(ids) == [VOID]


def without_void(ids: np.ndarray, binary: Optional[bool]) -> np.ndarray:
    """Turn a mask as it is stored into plain ids.

    Args:
        ids: ``(H, W)`` uint8.
        binary: Every value but 0 is object 1. None: that holds where
            :func:`is_binary_mask` does; elsewhere 255 is void.

    Returns:
        np.ndarray: ``(H, W)`` uint8, void as 0, a binary mask's object as 1.
    """
    if binary is None:
        binary = is_binary_mask(ids)
    if binary:
        return (ids > 0).astype(np.uint8)
    return np.where(ids == VOID, 0, ids).astype(np.uint8)


def _is_plain_jpeg(data: bytes) -> bool:
    """Tell a JPEG of one scan that runs to the end of the file."""
    if data[:3] != _JPEG_START:
        return False
    at = 2
    while data[at : at + 1] == b'\xff' and data[at : at + 2] != _JPEG_SCAN:
        at += 2 + int.from_bytes(data[at + 2 : at + 4], 'big')
    end = _JPEG_MARKER.search(data, at + 2)
    return (
        data[at : at + 2] == _JPEG_SCAN
        and end is not None
        and data[end.start() :] == _JPEG_END
    )


def _decode(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as image:
        # A PNG's checksums, which reading the pixels passes over.
        image.verify()
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def _fail(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _complaint(path: PathLike, error: Exception) -> str:
    if not osp.exists(path):
        return f'no image file {path}'
    if isinstance(error, Image.UnidentifiedImageError):
        error = 'it is empty or in no known image format'
    return f'cannot read the image {path}: {error}; expected a whole image'
