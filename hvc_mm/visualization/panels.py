"""Labels, captions, and pictures in a row.

Pictures are RGB, uint8 ``(H, W, 3)``; h, w: height and width of a label.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Optional, Sequence, Tuple

import cv2
import numpy as np
from torch import Tensor

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_RIM = 2


def as_rgb(image: Tensor) -> np.ndarray:
    """Turn ``(3, H, W)`` BGR into ``(H, W, 3)`` RGB, uint8, a copy."""
    return image.flip(0).permute(1, 2, 0).cpu().contiguous().numpy()


def text_scale(image: np.ndarray) -> float:
    """Return OpenCV's font scale for a picture ``(H, W, 3)`` of this size."""
    return float(np.clip(min(image.shape[:2]) / 800, 0.35, 1.5))


def label_size(text: str, scale: float) -> Tuple[int, int]:
    """Return the height and width of a label in pixels, its rim included."""
    return _ink(text, scale).shape


def draw_label(
    image: np.ndarray,
    text: str,
    centre: Tuple[float, float],
    scale: Optional[float] = None,
) -> None:
    """Write white text with a dark rim, moved so that it stays inside.

    Args:
        image: uint8 ``(H, W, 3)``, changed in place.
        text: One line; OpenCV's fonts know ASCII only.
        centre: x and y in pixels.
        scale: Of the font; by default that of :func:`text_scale`.
    """
    ink = _ink(text, text_scale(image) if scale is None else scale)
    (height, width), (rows, columns) = image.shape[:2], ink.shape
    left = int(np.clip(centre[0] - columns // 2, 0, max(0, width - columns)))
    top = int(np.clip(centre[1] - rows // 2, 0, max(0, height - rows)))
    part = image[top : top + rows, left : left + columns]
    ink = ink[: part.shape[0], : part.shape[1]]
    if not ink.size:
        return
    rim = cv2.dilate(ink, np.ones((3, 3), np.uint8))
    for level, cover in ((0, rim), (255, ink)):
        share = cover[..., None] / 255
        part[:] = (part * (1 - share) + level * share).round()


def caption(image: np.ndarray, text: str) -> np.ndarray:
    """Put a dark bar with a line of ASCII text on top of a picture.

    Args:
        image: uint8 ``(H, W, 3)``.
        text: The line.

    Returns:
        A new picture, ``(H + bar, W, 3)``.
    """
    height = int(40 * text_scale(image)) + 4
    bar = np.full((height, image.shape[1], 3), 32, np.uint8)
    # The bar is low; its text is the picture's.
    centre = (image.shape[1] / 2, height / 2)
    draw_label(bar, text, centre, text_scale(image))
    return np.concatenate([bar, image])


def side_by_side(
    images: Sequence[np.ndarray], captions: Optional[Sequence[str]] = None
) -> np.ndarray:
    """Put pictures in a row; they take the height of the first one.

    Args:
        images: At least one, uint8 ``(H, W, 3)``.
        captions: A line of text for each.

    Returns:
        The row, uint8 ``(H, sum of W, 3)``, higher by the captions' bar.
    """
    height = images[0].shape[0]
    row = []
    for index, image in enumerate(images):
        if image.shape[0] != height:
            width = max(1, round(image.shape[1] * height / image.shape[0]))
            image = cv2.resize(image, (width, height))
        row.append(caption(image, captions[index]) if captions else image)
    return np.concatenate(row, axis=1)


@lru_cache(maxsize=1024)
def _ink(text: str, scale: float) -> np.ndarray:
    """Draw text, 255 where it is, cut to ``(h, w)`` with room for a rim.

    Fonts differ between OpenCV 4 and 5, and so does what `getTextSize` says
    of them; the ink itself is always right.
    """
    thickness = max(1, round(2 * scale))
    (width, height), base = cv2.getTextSize(text, _FONT, scale, thickness)
    ink = np.zeros((height + 2 * base + 16, width + 32), np.uint8)
    at = (16, height + base + 8)
    cv2.putText(ink, text, at, _FONT, scale, 255, thickness, cv2.LINE_AA)
    if not ink.any():
        return np.zeros((0, 0), np.uint8)
    rows, columns = (np.flatnonzero(ink.any(axis)) for axis in (1, 0))
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    # Thin strokes are grey, above all in OpenCV 5, whose font is another
    # one. Its thickness is a weight, so that a rim has to be made from ink.
    ink = np.pad(np.minimum(ink * 1.5, 255).astype(np.uint8), _RIM)
    ink.flags.writeable = False
    return ink
