"""Where a label hides nothing: inside of a large object, or next to it.

H, W: height and width of a picture in pixels.
"""

from __future__ import annotations

from typing import Optional, Tuple

import cv2
import numpy as np

# A label may hide so much of the object that it is written on.
_MOST_HIDDEN = 0.15


class LabelPlaces:
    """Find places for the labels of one picture's objects.

    A label is written on its object where its whole box is on the object and
    hides little of it. Else (a small object, a limb) it goes to the nearest
    place next to the object where it hides no object at all. Labels don't
    hide each other.

    Args:
        objects: bool ``(H, W)``, where any object is.
    """

    def __init__(self, objects: np.ndarray) -> None:
        self._objects = objects
        self._labels = np.zeros_like(objects)

    def take(
        self, mask: np.ndarray, size: Tuple[int, int]
    ) -> Optional[Tuple[int, int]]:
        """Choose and keep the place of a label.

        Args:
            mask: bool ``(H, W)``, the object, not empty.
            size: Height and width of the label in pixels.

        Returns:
            x and y of the label's centre; None where there is no place.
        """
        place = None
        if size[0] * size[1] <= _MOST_HIDDEN * mask.sum():
            inside = _centres(mask & ~self._labels, size)
            depth = cv2.distanceTransform(_padded(mask), cv2.DIST_L2, 3)
            place = _largest(depth[1:-1, 1:-1], inside)
        if place is None:
            outside = _centres(~(self._objects | self._labels), size)
            away = cv2.distanceTransform(
                (~mask).view(np.uint8), cv2.DIST_L2, 5
            )
            place = _largest(-away, outside)
        if place is not None:
            top, left = place[1] - size[0] // 2, place[0] - size[1] // 2
            self._labels[top : top + size[0], left : left + size[1]] = True
        return place


def _centres(free: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """Find where a box may have its centre so that all under it is free."""
    fits = cv2.erode(
        free.view(np.uint8),
        np.ones(size, np.uint8),
        anchor=(size[1] // 2, size[0] // 2),
        borderType=cv2.BORDER_CONSTANT,
        borderValue=0,
    )
    return fits.astype(bool)


def _largest(
    values: np.ndarray, among: np.ndarray
) -> Optional[Tuple[int, int]]:
    """Return x and y of the largest of some values; None of no value."""
    if not among.any():
        return None
    best = np.where(among, values, -np.inf).argmax()
    y, x = np.unravel_index(best, values.shape)
    return int(x), int(y)


def _padded(mask: np.ndarray) -> np.ndarray:
    """Add a border, so that a distance to it counts."""
    return np.pad(mask.view(np.uint8), 1)
