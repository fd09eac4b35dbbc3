"""A map of values over a frame, from blue (0) to red (1). RGB."""

from __future__ import annotations

from typing import Optional, Tuple

import cv2
import numpy as np


def overlay_heat(
    image: np.ndarray,
    heat: np.ndarray,
    alpha: float = 0.6,
    point: Optional[Tuple[float, float]] = None,
) -> np.ndarray:
    """Blend a heat map over a frame.

    Args:
        image: RGB, uint8 ``(H, W, 3)``.
        heat: ``(h, w)`` float; it is enlarged bilinearly, and values are
            clipped to [0, 1], the same in every frame.
        alpha: Opacity where the value is 1, 0 to 1; a quarter of it at 0.
        point: x and y in pixels of a place to mark.

    Returns:
        A new RGB image, uint8 ``(H, W, 3)``.

    Raises:
        ValueError: ``heat`` is no plane.
    """
    if heat.ndim != 2:
        raise ValueError(f'a heat map must be (h, w), not {heat.shape}')
    height, width = image.shape[:2]
    large = cv2.resize(heat.astype(np.float32), (width, height))
    level = (large.clip(0, 1) * 255).round().astype(np.uint8)
    colors = cv2.applyColorMap(level, cv2.COLORMAP_JET)[..., ::-1]
    # Low values hide little, so that the frame stays to be seen.
    weight = alpha * (0.25 + 0.75 * large.clip(0, 1))[..., None]
    out = (image * (1 - weight) + colors * weight).round().astype(np.uint8)
    if point is not None:
        at = (int(round(point[0])), int(round(point[1])))
        size = max(6, height // 50)
        for color, thickness in (((0, 0, 0), 4), ((255, 255, 255), 2)):
            cv2.drawMarker(
                out, at, color, cv2.MARKER_CROSS, 2 * size, thickness
            )
    return out
