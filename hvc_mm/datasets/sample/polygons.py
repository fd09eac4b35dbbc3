"""Polygons: area, clipping to a frame, coverage of pixels.

A polygon is ``(V, 2)`` float64, columns x and y, in continuous coordinates:
pixel ``(row i, column j)`` is the square ``[j, j + 1] x [i, i + 1]``.
"""

from __future__ import annotations

import cv2
import numpy as np


def polygon_area(polygon: np.ndarray) -> float:
    """Area inside a simple polygon, in square pixels (shoelace formula)."""
    x, y = polygon[:, 0], polygon[:, 1]
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def _clip_half_plane(
    polygon: np.ndarray, axis: int, bound: float, keep_above: bool
) -> np.ndarray:
    """The part of a polygon on one side of an axis-parallel line."""
    kept = []
    for a, b in zip(polygon, np.roll(polygon, -1, axis=0)):
        a_in = (a[axis] >= bound) == keep_above or a[axis] == bound
        b_in = (b[axis] >= bound) == keep_above or b[axis] == bound
        if a_in:
            kept.append(a)
        if a_in != b_in:
            crossing = a + (b - a) * (bound - a[axis]) / (b[axis] - a[axis])
            # Rounding must not leave it outside by an epsilon.
            crossing[axis] = bound
            kept.append(crossing)
    return np.array(kept, dtype=np.float64).reshape(-1, 2)


def clip_to_frame(
    polygon: np.ndarray, width: float, height: float
) -> np.ndarray:
    """Cut a polygon to ``[0, width] x [0, height]`` (Sutherland-Hodgman).

    A concave polygon that falls into several pieces stays one polygon, its
    pieces joined by edges of no area along the frame.

    Returns:
        np.ndarray: ``(V', 2)``; no rows when nothing is left.
    """
    for axis, bound, keep_above in (
        (0, 0.0, True),
        (0, float(width), False),
        (1, 0.0, True),
        (1, float(height), False),
    ):
        if len(polygon) == 0:
            break
        polygon = _clip_half_plane(polygon, axis, bound, keep_above)
    return polygon


def coverage(
    polygon: np.ndarray, height: int, width: int, oversampling: int = 8
) -> np.ndarray:
    """Share of each pixel that a polygon covers.

    Returns:
        np.ndarray: ``(height, width)`` float32 in [0, 1], in steps of
        ``1 / oversampling ** 2``.
    """
    fine = np.zeros((height * oversampling, width * oversampling), np.uint8)
    # fillPoly takes pixel centres as integers: half a fine pixel less.
    corners = np.round(polygon * oversampling - 0.5).astype(np.int32)
    cv2.fillPoly(fine, [corners], 255)
    blocks = fine.reshape(height, oversampling, width, oversampling)
    return blocks.mean(axis=(1, 3), dtype=np.float32) / 255
