"""Id masks: object ids by pixel, read as they are stored.

H, W: height and width in pixels. An *id mask* is ``(H, W)`` uint8: 0
background, 1.. objects, 255 void.
"""

from __future__ import annotations

import os.path as osp
from pathlib import Path
from typing import List, Optional, Sequence

import cv2
import numpy as np
from PIL import Image

from hvc_mm.utils.files import whole_file

from .image_io import (
    IMAGE_ERRORS,
    PathLike,
    decode,
    orientation_of,
    turned,
)

# Pixels of no known object, in DAVIS, PASCAL VOC and VIP alike.
VOID = 255

# The modes whose stored sample *is* the id. 'P' holds palette indices, 'L'
# grey values, '1' a single object; nothing else keeps ids unambiguous.
_ID_MODES = ('P', 'L', '1')
# Pillow stretches grey samples of 2 and 4 bits to 0..255, by these factors.
_STRETCHED = {'L;2': 85, 'L;4': 17}
_LOSSY = ('JPEG', 'MPO')
# Smooth edges give at least so many ids, ...
_FEW_IDS = 4
# ... with gaps between them: the largest one is this many times their number,
# or 60. So ids without gaps, as benchmarks have them, never look like edges.
_GAPS, _MANY_IDS = 3, 20


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


def read_id_mask(
    path: PathLike, binarize: Optional[bool] = False
) -> np.ndarray:
    """Read an id mask; colours of a palette are ignored.

    Args:
        path: A palette image, or a greyscale one of 1 to 8 bits, whose
            samples are the ids. It is turned as its EXIF orientation says.
        binarize: It shows one object, see :func:`binarized`. None: only
            where its edges are smooth, for pictures.

    Returns:
        np.ndarray: ``(H, W)`` uint8, writable.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no image, is damaged, stores colours or more than
            8 bits a pixel, from which ids can't be told, or its edges are
            smooth (:func:`has_smooth_edges`).
    """
    if not osp.isfile(path):
        raise FileNotFoundError(f'no mask file {path}')
    try:
        image, stored = decode(Path(path).read_bytes())
    except IMAGE_ERRORS as error:
        raise ValueError(
            f'cannot read the mask {path}: {error}; expected a whole '
            'palette or greyscale PNG'
        ) from error
    if image.mode not in _ID_MODES:
        raise ValueError(
            f'the mask {path} has mode {image.mode!r}; expected a palette (P) '
            'or 8-bit greyscale (L) PNG, whose pixels are object ids'
        )
    ids = turned(np.array(image, dtype=np.uint8), orientation_of(image))
    if image.mode == 'L' and stored.endswith('I'):
        ids = VOID - ids  # white is 0 in the file
    ids //= _STRETCHED.get(stored.rstrip('I'), 1)
    lossy = image.format in _LOSSY
    if binarize or (binarize is None and (lossy or has_smooth_edges(ids))):
        return binarized(ids, lossy)
    if lossy and binarize is not None:
        raise ValueError(
            f'the mask {path} is a JPEG, which changes ids; expected a PNG '
            f'({_BINARIZE})'
        )
    check_edges(ids, f'the mask {path}')
    return ids


_BINARIZE = (
    'for a mask of one object: --binarize, or binary_masks=True of the data '
    'set and the metric'
)


def has_smooth_edges(ids: np.ndarray) -> bool:
    """Tell whether an ``(H, W)`` mask was resized with a smooth filter.

    Or blurred, or kept as a JPEG: then it has many ids with gaps between
    them, and most of them only along the edges of others, without one pixel
    whose neighbours all have the same id.
    """
    found = [i for i in objects_in(ids) if i != VOID]
    gaps = _GAPS * min(len(found), _MANY_IDS)
    if len(found) < _FEW_IDS or found[-1] < gaps:
        return False
    square = np.ones((3, 3), np.uint8)
    even = cv2.erode(ids, square) == cv2.dilate(ids, square)
    thin = set(found) - set(objects_in(ids[even]))
    return len(thin) > len(found) / 2


def check_edges(ids: np.ndarray, where: str) -> None:
    """Raise ValueError for an ``(H, W)`` mask with smooth edges; ``where``
    names it."""
    if has_smooth_edges(ids):
        found = objects_in(ids)
        raise ValueError(
            f'{where} has {len(found)} ids, from {found[0]} to {found[-1]}, '
            'most of them only on edges between others: its edges are smooth; '
            f'expected object ids ({_BINARIZE})'
        )


def binarized(ids: np.ndarray, lossy: bool = False) -> np.ndarray:
    """Take an ``(H, W)`` mask as one object, id 1.

    Every value but 0 is the object; where edges are smooth, or the file was
    ``lossy``, every value above half of the largest.
    """
    if lossy or has_smooth_edges(ids):
        return (ids > int(ids.max()) // 2).astype(np.uint8)
    return (ids > 0).astype(np.uint8)


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
    image = _drawn(path, ids)
    with whole_file(path) as partial:
        image.save(partial, format='PNG')


def save_id_mask(path: PathLike, ids: np.ndarray) -> None:
    """Write an id mask like `write_id_mask`, but under its name at once.

    For a file that already has a temporary name, as in `listed_file`.

    Args:
        path: Where to, in a folder that is there.
        ids: ``(H, W)`` bool or integer, values in 0..255.

    Raises:
        ValueError: As `write_id_mask`.
    """
    _drawn(path, ids).save(path, format='PNG')


def _drawn(path: PathLike, ids: np.ndarray) -> Image.Image:
    """Draw an ``(H, W)`` id mask with DAVIS's palette; ``path`` names it."""
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
    return image


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


def check_size(
    where: str, found: Sequence[int], expected: Sequence[int], whose: str
) -> None:
    """Make sure that a mask has its frame's size.

    Args:
        where: Names the mask.
        found: Its ``(H, W)``.
        expected: The frame's ``(H, W)``.
        whose: Names the frame.

    Raises:
        ValueError: They differ; where the two sides are exchanged it says
            that frames are turned.
    """
    if tuple(found) == tuple(expected):
        return
    message = (
        f'{where} has {found[1]}x{found[0]} pixels; expected '
        f'{expected[1]}x{expected[0]} as {whose} has'
    )
    if tuple(found) == tuple(expected)[::-1]:
        message += (
            '. Frames are turned as their EXIF orientation says: draw the '
            'mask on the turned frame'
        )
    raise ValueError(message)


def mask_to_rle(mask: np.ndarray) -> dict:
    """Encode a mask as COCO's uncompressed run lengths.

    Runs go down the columns and alternate, beginning with zeros. pycocotools
    reads it: ``mask.frPyObjects(rle, *rle['size'])``.

    Args:
        mask: ``(H, W)`` bool.

    Returns:
        ``size`` ``[H, W]`` and ``counts``, plain integers, fit for JSON.
    """
    flat = np.asarray(mask, bool).ravel(order='F')
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff([0, *changes, flat.size]).tolist()
    if flat.size and flat[0]:
        counts = [0, *counts]
    return {'size': list(mask.shape), 'counts': counts}
