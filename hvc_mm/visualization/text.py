"""Text that can be read on any picture.

Pictures are RGB, uint8 ``(H, W, 3)``, changed in place.
"""

from __future__ import annotations

from typing import Sequence, Tuple

import cv2
import numpy as np

_FONT = cv2.FONT_HERSHEY_SIMPLEX


def text_scale(image: np.ndarray) -> float:
    """OpenCV's font scale that suits a picture of this size."""
    return float(np.clip(min(image.shape[:2]) / 800, 0.35, 1.5))


def draw_label(
    image: np.ndarray,
    text: str,
    centre: Tuple[float, float],
    color: Sequence[int] = (255, 255, 255),
) -> None:
    """Write a word with a dark rim, moved so that it stays in the picture.

    Args:
        image: Changed in place.
        text: One line; OpenCV's fonts know ASCII only.
        centre: x and y in pixels.
        color: RGB.
    """
    scale = text_scale(image)
    thickness = max(1, round(2 * scale))
    (width, height), base = cv2.getTextSize(text, _FONT, scale, thickness)
    x = np.clip(centre[0] - width / 2, 1, max(1, image.shape[1] - width - 1))
    y = np.clip(
        centre[1] + height / 2, height + 1, max(1, image.shape[0] - base)
    )
    at = (int(x), int(y))
    for rgb, extra in (((0, 0, 0), 2), (tuple(int(c) for c in color), 0)):
        cv2.putText(
            image, text, at, _FONT, scale, rgb, thickness + extra, cv2.LINE_AA
        )
