"""Pictures side by side and one below the other, with captions.

Pictures are RGB, uint8 ``(H, W, 3)``.
"""

from __future__ import annotations

from typing import Optional, Sequence

import cv2
import numpy as np

from .text import draw_label, text_scale


def caption(image: np.ndarray, text: str) -> np.ndarray:
    """Put a dark bar with a line of text on top of a picture.

    Args:
        image: Any size.
        text: One line of ASCII.

    Returns:
        A new picture, higher by the bar.
    """
    height = int(40 * text_scale(image)) + 4
    bar = np.full((height, image.shape[1], 3), 32, np.uint8)
    draw_label(bar, text, (image.shape[1] / 2, height / 2))
    return np.concatenate([bar, image])


def side_by_side(
    images: Sequence[np.ndarray], captions: Optional[Sequence[str]] = None
) -> np.ndarray:
    """Join pictures in a row; they take the height of the first one.

    Args:
        images: At least one.
        captions: A line for each.

    Returns:
        The row.
    """
    height = images[0].shape[0]
    row = []
    for image in images:
        if image.shape[0] != height:
            width = max(1, round(image.shape[1] * height / image.shape[0]))
            image = cv2.resize(image, (width, height))
        row.append(image)
    if captions is not None:
        row = [caption(image, text) for image, text in zip(row, captions)]
    return np.concatenate(row, axis=1)


def stacked(images: Sequence[np.ndarray]) -> np.ndarray:
    """Join pictures in a column; narrow ones get a dark margin.

    Args:
        images: At least one.

    Returns:
        The column.
    """
    width = max(image.shape[1] for image in images)
    padded = [
        np.pad(
            image,
            ((0, 0), (0, width - image.shape[1]), (0, 0)),
            constant_values=32,
        )
        for image in images
    ]
    return np.concatenate(padded)
