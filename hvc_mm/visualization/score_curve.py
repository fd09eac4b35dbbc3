"""J of each object by frame, below a video."""

from __future__ import annotations

from typing import List, Mapping, NamedTuple, Optional, Tuple

import cv2
import numpy as np
from matplotlib.ticker import MaxNLocator

from hvc_mm.datasets import davis_palette

from .panels import draw_label, label_size

_GROUND, _GRID, _AXIS, _NOW = (24,) * 3, (56,) * 3, (96,) * 3, (160,) * 3


class _Axes(NamedTuple):
    """The plot's edges in pixels, the last frame, and the font's scale."""

    left: int
    right: int
    top: int
    bottom: int
    span: int
    scale: float

    def at(self, frame: float, score: float) -> Tuple[int, int]:
        x = self.left + (self.right - self.left) * frame / self.span
        y = self.bottom - (self.bottom - self.top) * score
        return int(round(x)), int(round(y))


def curve_height(width: int) -> int:
    """Return the height of a strip of this width, in pixels."""
    return int(np.clip(width // 7, 96, 240))


def draw_score_curve(
    curves: Mapping[int, Mapping[int, float]],
    width: int,
    length: Optional[int] = None,
) -> np.ndarray:
    """Draw each object's J against the frame, in the object's colour.

    The vertical axis runs from 0 to 1, the horizontal one over the frames.
    Frames without a score are gaps. A line shows the last frame; above are
    its mean J and that of each object next to its colour.

    Args:
        curves: Per object id, the score (0 to 1) by frame index.
        width: Of the strip, in pixels.
        length: Frames along the width; by default as many as the curves
            reach.

    Returns:
        uint8 ``(curve_height(width), width, 3)``.
    """
    height = curve_height(width)
    strip = np.full((height, width, 3), _GROUND, np.uint8)
    last = max((t for curve in curves.values() for t in curve), default=0)
    scale = max(0.35, height / 400)
    row = int(44 * scale)
    axes = _Axes(
        left=int(66 * scale),
        right=max(width - int(44 * scale), int(66 * scale) + 1),
        top=row + 4,
        bottom=height - row - 2,
        span=max((length or last + 1) - 1, 1),
        scale=scale,
    )
    _draw_axes(strip, axes)
    for object_id, curve in curves.items():
        color = davis_palette()[object_id].tolist()
        for index, score in curve.items():
            # A point without a frame before is a line of length 0.
            before = index - 1 if index - 1 in curve else index
            start = axes.at(before, curve[before])
            end = axes.at(index, score)
            cv2.line(strip, start, end, color, 2, cv2.LINE_AA)
    now = {key: c[last] for key, c in curves.items() if last in c}
    if now:
        cv2.line(strip, axes.at(last, 0), axes.at(last, 1), _NOW, 1)
        _draw_legend(strip, now, last, axes)
    return strip


def _draw_axes(strip: np.ndarray, axes: _Axes) -> None:
    for level in (0, 0.5, 1):
        color = _GRID if level == 0.5 else _AXIS
        start, end = axes.at(0, level), axes.at(axes.span, level)
        cv2.line(strip, start, end, color, 1)
        centre = (axes.left // 2, start[1])
        draw_label(strip, f'{level:g}', centre, axes.scale)
    for frame in _ticks(axes):
        x, y = axes.at(frame, 0)
        cv2.line(strip, (x, y), (x, y + 4), _AXIS, 1)
        centre = (x, (y + 4 + len(strip)) / 2)
        draw_label(strip, str(frame), centre, axes.scale)


def _ticks(axes: _Axes) -> List[int]:
    """Choose round frames, as many as have room for their numbers."""
    room = 2 * label_size(str(axes.span), axes.scale)[1]
    most = int(np.clip((axes.right - axes.left) // room, 1, 10))
    ticks = MaxNLocator(most, integer=True).tick_values(0, axes.span)
    return [int(tick) for tick in ticks if 0 <= tick <= axes.span]


def _draw_legend(
    strip: np.ndarray, now: Mapping[int, float], last: int, axes: _Axes
) -> None:
    """Write the last frame's scores, as many as have room."""
    y, gap = axes.top // 2, int(28 * axes.scale)
    entries = [(None, f'frame {last}: J {np.mean(list(now.values())):.3f}')]
    if len(now) > 1:
        entries += [(key, f'{key}: {now[key]:.2f}') for key in sorted(now)]
    x = axes.left
    for object_id, text in entries:
        line = 0 if object_id is None else 2 * gap
        width = label_size(text, axes.scale)[1]
        if x + line + width > strip.shape[1] and x > axes.left:
            return
        if object_id is not None:
            color = davis_palette()[object_id].tolist()
            cv2.line(strip, (x, y), (x + 2 * gap - 4, y), color, 3)
        draw_label(strip, text, (x + line + width / 2, y), axes.scale)
        x += line + width + gap
