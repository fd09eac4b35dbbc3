"""Reading and writing id masks: PNGs whose pixel value is an object's id.

Legend: H, W: height and width of a frame in pixels; an *id mask* is
``(H, W)`` uint8, 0 background, 1.. objects, 255 void.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Union

import numpy as np
from PIL import Image

PathLike = Union[str, Path]

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
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = f'{os.getpid()}-{threading.get_ident()}'
    partial = path.with_name(f'.{path.name}.{writer}.partial')
    try:
        image.save(partial, format='PNG')
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
