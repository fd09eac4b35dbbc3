"""Images, read such that damage is noticed wherever the format can show it.

H, W: height and width in pixels, after a turn that an EXIF tag asks for.
"""

from __future__ import annotations

import io
import os
import os.path as osp
import re
import struct
import zlib
from pathlib import Path
from typing import List, Optional, Sequence, Tuple, Union

import cv2
import numpy as np
import simplejpeg
from PIL import Image

from hvc_mm.utils.files import whole_file

PathLike = Union[str, Path]

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')

# What Pillow and libjpeg raise for files that are no images, damaged, or
# absurdly big.
IMAGE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    OverflowError,
    MemoryError,
    IndexError,
    KeyError,
    TypeError,
    NotImplementedError,
    struct.error,
    zlib.error,
    cv2.error,
    Image.DecompressionBombError,
)

_ORIENTATION = 0x0112
# libjpeg goes on after these, with grey or scrambled pixels. Its other
# warnings are about headers that change no pixel.
_JPEG_DAMAGE = re.compile('Corrupt JPEG data(?!: bad ICC)|[Pp]remature end')
# Formats whose mode 'I' holds 16 bits a pixel, in older releases of Pillow.
_SIXTEEN_BITS = ('PNG', 'PPM')


class BrokenImageError(OSError):
    """An image file that is missing, damaged, or no image."""


def natural_key(path: PathLike) -> list:
    """Make a sorting key by which numbers in names count as numbers.

    Example:
        >>> sorted(['10.jpg', '9.jpg'], key=natural_key)
        ['9.jpg', '10.jpg']
    """
    # Text and numbers alternate in the split, so they are never compared.
    parts = re.split(r'(\d+)', str(path))
    numbers = [int(p) if p.isdecimal() else p for p in parts]
    return [numbers, parts]


def list_images(
    folder: PathLike,
    suffixes: Sequence[str] = IMAGE_SUFFIXES,
    recursive: bool = False,
) -> List[str]:
    """List the images of a folder, told by their suffix.

    Hidden files are left out: a copy from a Mac brings ``._00000.jpg``
    files, which are no images. Links are followed, into each folder once.

    Args:
        folder: The folder; an absent one has no images.
        suffixes: What names of images end in, in small letters.
        recursive: List the images of all subfolders too.

    Returns:
        list[str]: Paths, in the order of :func:`natural_key`.

    Raises:
        OSError: A folder may not be read.
    """
    found: List[str] = []
    seen = set()
    tree = os.walk(folder, onerror=_fail, followlinks=True)
    for parent, folders, names in tree:
        real = osp.realpath(parent)
        if real in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add(real)
        found += [
            osp.join(parent, name)
            for name in names
            if name.lower().endswith(tuple(suffixes)) and name[0] != '.'
        ]
        if not recursive:
            break
    return sorted(found, key=natural_key)


def read_image(path: PathLike) -> np.ndarray:
    """Read an image as 8-bit colour, turned as its EXIF orientation says.

    Args:
        path: A file of any format that Pillow knows. Grey values and
            palettes are turned to colours, transparency is dropped, of 16
            bits the upper 8 are taken.

    Returns:
        np.ndarray: ``(H, W, 3)`` uint8, BGR, contiguous.

    Raises:
        BrokenImageError: The file is missing, damaged, no image, or holds
            integers of 32 bits or floats, whose range nobody knows; with
            the file's name.
    """
    try:
        data = Path(path).read_bytes()
        # This refuses absurdly big images, too, before memory is taken.
        with Image.open(io.BytesIO(data)) as header:
            orientation = orientation_of(header)
        pixels = decode_jpeg(data)
        if pixels is None:
            image, _ = decode(data)
            pixels, orientation = _to_bgr(image), orientation_of(image)
        return turned(pixels, orientation)
    except IMAGE_ERRORS as error:
        raise BrokenImageError(_complaint(path, error)) from error


def read_image_size(path: PathLike) -> Tuple[int, int]:
    """Read ``(H, W)`` from a file's header, without its pixels.

    Raises:
        BrokenImageError: With the file's name and what is wrong with it.
    """
    try:
        with Image.open(path) as image:
            if image.format == 'TIFF':
                image.load()  # Pillow turns it here, or earlier
            width, height = image.size
            if orientation_of(image) >= 5:
                width, height = height, width
    except IMAGE_ERRORS as error:
        raise BrokenImageError(_complaint(path, error)) from error
    return height, width


def write_picture(
    path: PathLike, picture: np.ndarray, quality: int = 95
) -> None:
    """Write a picture, RGB uint8 ``(H, W, 3)``, as its suffix says.

    Args:
        path: The file; missing folders are made.
        picture: What to write.
        quality: Of a JPEG, 0 to 100.

    Raises:
        OSError: The file can't be written; names it.
        ValueError: A suffix that OpenCV doesn't know.
    """
    suffix = osp.splitext(path)[1]
    try:
        is_jpeg = suffix.lower() in ('.jpg', '.jpeg')
        options = [cv2.IMWRITE_JPEG_QUALITY, quality] if is_jpeg else []
        _, content = cv2.imencode(suffix, picture[..., ::-1], options)
    except cv2.error as error:
        raise ValueError(f'{path}: no picture ends in {suffix!r}') from error
    # Not `cv2.imwrite`, which leaves half a file on a full disk.
    with whole_file(path) as partial:
        partial.write_bytes(content.tobytes())


def decode(data: bytes) -> Tuple[Image.Image, str]:
    """Decode a file's content with Pillow, unturned.

    Returns:
        tuple: The image, and Pillow's name of how its pixels were stored.

    Raises:
        Exception: One of `IMAGE_ERRORS`, where the content is damaged.
    """
    with Image.open(io.BytesIO(data)) as image:
        stored = image.tile[0][3] if image.tile else ''
        if isinstance(stored, tuple):
            stored = stored[0]
        # A PNG's checksums, which reading the pixels passes over.
        image.verify()
    decode_jpeg(data)
    image = Image.open(io.BytesIO(data))
    image.load()
    return image, str(stored)


def decode_jpeg(data: bytes) -> Optional[np.ndarray]:
    """Decode a JPEG with libjpeg-turbo, and listen to its warnings.

    Pillow and OpenCV use the same decoder, to the same pixels, but fill up
    what is damaged and say nothing.

    Args:
        data: A file's content.

    Returns:
        np.ndarray: ``(H, W, 3)`` uint8, BGR, not turned; None for other
        formats and the kinds of JPEG that are left to Pillow.

    Raises:
        ValueError: libjpeg's complaint about damaged pixels.
    """
    if data[:3] != b'\xff\xd8\xff':
        return None
    try:
        return simplejpeg.decode_jpeg(data, colorspace='BGR')
    except ValueError as error:
        if _JPEG_DAMAGE.search(str(error)):
            raise
        return None


def orientation_of(image: Image.Image) -> int:
    """Read the EXIF orientation, 1 (upright) to 8."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except IMAGE_ERRORS:
        return 1  # as all viewers do where the tags can't be read
    return value if value in range(2, 9) else 1


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn ``(H, W)`` or ``(H, W, C)`` upright, from its EXIF orientation."""
    if orientation == 1:
        return pixels
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    down = -1 if orientation in (3, 4, 7, 8) else 1
    across = -1 if orientation in (2, 3, 6, 7) else 1
    return np.ascontiguousarray(pixels[::down, ::across])


def _to_bgr(image: Image.Image) -> np.ndarray:
    sixteen = image.mode.startswith('I;16') or (
        image.mode == 'I' and image.format in _SIXTEEN_BITS
    )
    if sixteen:
        grey = (np.asarray(image) >> 8).astype(np.uint8)
        return cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
    if image.mode in ('I', 'F'):
        raise ValueError(
            f'its pixels are of mode {image.mode!r} (32 bits), whose range is '
            'unknown; save it with 8 or 16 bits a channel'
        )
    return cv2.cvtColor(np.asarray(image.convert('RGB')), cv2.COLOR_RGB2BGR)


def _fail(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _complaint(path: PathLike, error: Exception) -> str:
    if not osp.exists(path):
        return f'no image file {path}'
    if isinstance(error, Image.UnidentifiedImageError):
        error = 'it is empty or in no known image format'
    return f'cannot read the image {path}: {error}; expected a whole image'
