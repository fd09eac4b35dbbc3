"""A score over time, as a strip below a frame. Pictures are RGB."""

from __future__ import annotations

from typing import Mapping, Optional

import cv2
import numpy as np

from hvc_mm.datasets.image_io import davis_palette

from .text import draw_label

_MARGIN = 6


def draw_score_curve(
    curves: Mapping[int, Mapping[int, float]],
    width: int,
    length: Optional[int] = None,
    height: int = 80,
    title: str = 'J',
) -> np.ndarray:
    """Draw each object's score against the frame, in the object's colour.

    The axis runs from 0 (bottom) to 1 (top), with a line at 0.5. Frames
    without a score are gaps. The last values stand at the curves' ends.

    Args:
        curves: Per object id, the score (0 to 1) by frame index.
        width: Of the strip, in pixels.
        length: Frames that the width stands for; by default as many as the
            curves reach.
        height: Of the strip, in pixels.
        title: Written at the lower left, with the mean of the last frame.

    Returns:
        uint8 ``(height, width, 3)``.
    """
    strip = np.full((height, width, 3), 24, np.uint8)
    indexes = [t for curve in curves.values() for t in curve]
    last = max(indexes, default=0)
    span = max((length or last + 1) - 1, 1)

    def place(index: int, score: float):
        x = _MARGIN + (width - 2 * _MARGIN - 1) * index / span
        y = height - 1 - _MARGIN - (height - 2 * _MARGIN - 1) * score
        return int(round(x)), int(round(y))

    for level, grey in ((0, 96), (0.5, 56), (1, 96)):
        cv2.line(strip, place(0, level), place(span, level), (grey,) * 3, 1)
    for object_id, curve in curves.items():
        color = tuple(int(c) for c in davis_palette()[object_id])
        for index in sorted(curve):
            here = place(index, curve[index])
            # A lone point has to be seen too: a line of its own length.
            before = place(index - 1, curve.get(index - 1, curve[index]))
            start = before if index - 1 in curve else here
            cv2.line(strip, start, here, color, 2, cv2.LINE_AA)
    now = [curve[last] for curve in curves.values() if last in curve]
    if now:
        cv2.line(strip, place(last, 0), place(last, 1), (160,) * 3, 1)
        text = f'{title} {np.mean(now):.3f}'
        draw_label(strip, text, (_MARGIN + 40, height - _MARGIN - 10))
    return strip
