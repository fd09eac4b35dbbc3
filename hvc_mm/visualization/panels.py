"""Labels, captions, curves, and pictures in a row.

Pictures are RGB, uint8 ``(H, W, 3)``.
"""

from __future__ import annotations

from typing import Mapping, Optional, Sequence, Tuple

import cv2
import numpy as np
from torch import Tensor

from hvc_mm.datasets import davis_palette

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_MARGIN = 6


def as_rgb(image: Tensor) -> np.ndarray:
    """Turn ``(3, H, W)`` BGR into ``(H, W, 3)`` RGB, uint8, a copy."""
    return image.flip(0).permute(1, 2, 0).cpu().contiguous().numpy()


def text_scale(image: np.ndarray) -> float:
    """Return OpenCV's font scale for a picture ``(H, W, 3)`` of this size."""
    return float(np.clip(min(image.shape[:2]) / 800, 0.35, 1.5))


def draw_label(
    image: np.ndarray, text: str, centre: Tuple[float, float]
) -> None:
    """Write white text with a dark rim, moved so that it stays inside.

    Args:
        image: uint8 ``(H, W, 3)``, changed in place.
        text: One line; OpenCV's fonts know ASCII only.
        centre: x and y in pixels.
    """
    scale = text_scale(image)
    thickness = max(1, round(2 * scale))
    (width, height), base = cv2.getTextSize(text, _FONT, scale, thickness)
    x = np.clip(centre[0] - width / 2, 1, max(1, image.shape[1] - width - 1))
    y = np.clip(
        centre[1] + height / 2, height + 1, max(1, image.shape[0] - base)
    )
    # Its own part of the picture, a rim of two pixels included.
    left, top = max(0, int(x) - 2), max(0, int(y) - height - 2)
    part = image[top : int(y) + base + 3, left : int(x) + width + 3]
    ink, at = np.zeros(part.shape[:2], np.uint8), (int(x) - left, int(y) - top)
    cv2.putText(ink, text, at, _FONT, scale, 255, thickness, cv2.LINE_AA)
    # Thin strokes are grey, above all in OpenCV 5, whose font is another
    # one. Its thickness is a weight, so that a rim has to be made from ink.
    ink = np.minimum(ink * 1.5, 255).astype(np.uint8)
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
    draw_label(bar, text, (image.shape[1] / 2, height / 2))
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


def draw_score_curve(
    curves: Mapping[int, Mapping[int, float]],
    width: int,
    length: Optional[int] = None,
) -> np.ndarray:
    """Draw each object's J against the frame, in the object's colour.

    The axis runs from 0 (bottom) to 1 (top), with a line at 0.5. Frames
    without a score are gaps. A line shows the last frame, a label the mean
    of its scores.

    Args:
        curves: Per object id, the score (0 to 1) by frame index.
        width: Of the strip, in pixels.
        length: Frames along the width; by default as many as the curves
            reach.

    Returns:
        uint8 ``(80, width, 3)``.
    """
    height = 80
    strip = np.full((height, width, 3), 24, np.uint8)
    last = max((t for curve in curves.values() for t in curve), default=0)
    span = max((length or last + 1) - 1, 1)

    def at(index: int, score: float) -> Tuple[int, int]:
        x = _MARGIN + (width - 2 * _MARGIN - 1) * index / span
        y = height - 1 - _MARGIN - (height - 2 * _MARGIN - 1) * score
        return int(round(x)), int(round(y))

    for level, grey in ((0, 96), (0.5, 56), (1, 96)):
        cv2.line(strip, at(0, level), at(span, level), (grey,) * 3, 1)
    for object_id, curve in curves.items():
        color = davis_palette()[object_id].tolist()
        for index, score in curve.items():
            # A point without a frame before is a line of length 0.
            before = index - 1 if index - 1 in curve else index
            start = at(before, curve[before])
            cv2.line(strip, start, at(index, score), color, 2, cv2.LINE_AA)
    now = [curve[last] for curve in curves.values() if last in curve]
    if now:
        cv2.line(strip, at(last, 0), at(last, 1), (160,) * 3, 1)
        label = f'J {np.mean(now):.3f}'
        draw_label(strip, label, (_MARGIN + 40, height - _MARGIN - 10))
    return strip
