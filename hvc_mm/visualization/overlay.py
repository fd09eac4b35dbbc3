"""Id maps over frames: colours, contours, and ids or names.

H, W: height and width of a frame in pixels. Pictures are RGB.
"""

from __future__ import annotations

from typing import Mapping, Optional, Sequence, Union

import cv2
import numpy as np

from hvc_mm.datasets.image_io import davis_palette

from .text import draw_label

Names = Union[Sequence[str], Mapping[int, str]]

# A name needs room: it is written on regions that reach this deep, in
# pixels. A bare id is written on every object.
_NAME_DEPTH = 4


def overlay_ids(
    image: np.ndarray,
    ids: np.ndarray,
    alpha: float = 0.5,
    names: Optional[Names] = None,
) -> np.ndarray:
    """Blend an id map over a frame, with contours and labels.

    Args:
        image: RGB, uint8 ``(H, W, 3)``.
        ids: uint8 ``(H, W)``; 0 (background) stays clear.
        alpha: Opacity of the colours, 0 to 1.
        names: What to write for an id (parts of the body, say), instead of
            its number.

    Returns:
        A new RGB image, uint8 ``(H, W, 3)``.

    Raises:
        ValueError: When the two differ in size.
    """
    if image.shape[:2] != ids.shape:
        raise ValueError(
            f'a frame of {image.shape[:2]} and an id map of {ids.shape} do '
            'not fit together'
        )
    palette = davis_palette()
    blended = cv2.addWeighted(image, 1 - alpha, palette[ids], alpha, 0)
    out = np.where((ids > 0)[..., None], blended, image)
    thickness = max(1, round(min(ids.shape) / 240))
    labels = []
    for object_id in np.flatnonzero(np.bincount(ids.ravel())):
        if object_id == 0:
            continue
        mask = (ids == object_id).astype(np.uint8)
        color = tuple(int(c) for c in palette[object_id])
        contours, _ = cv2.findContours(
            mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE
        )
        cv2.drawContours(out, contours, -1, color, thickness)
        # The innermost pixel is inside of any shape; a centroid need not be.
        depth = cv2.distanceTransform(np.pad(mask, 1), cv2.DIST_L2, 3)[
            1:-1, 1:-1
        ]
        y, x = np.unravel_index(depth.argmax(), depth.shape)
        name = _name_of(int(object_id), names)
        if names is None or depth[y, x] >= _NAME_DEPTH:
            labels.append((name, (x, y)))
    # After all contours, so that none crosses a word.
    for name, centre in labels:
        draw_label(out, name, centre)
    return out


def _name_of(object_id: int, names: Optional[Names]) -> str:
    if isinstance(names, Mapping):
        return names.get(object_id, str(object_id))
    if names is not None and object_id < len(names):
        return names[object_id]
    return str(object_id)
