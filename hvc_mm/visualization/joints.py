"""A body's joints and limbs over a frame.

J: joints; H, W: height and width of a frame in pixels. Pictures are RGB.
"""

from __future__ import annotations

from typing import Sequence, Tuple

import cv2
import numpy as np

from hvc_mm.datasets.jhmdb import JOINTS

# Between joints in the order of JHMDB's files: head and trunk, right arm,
# left arm, right leg, left leg.
JHMDB_LIMBS = (
    (2, 0),
    (0, 1),
    (0, 3),
    (3, 7),
    (7, 11),
    (0, 4),
    (4, 8),
    (8, 12),
    (1, 5),
    (5, 9),
    (9, 13),
    (1, 6),
    (6, 10),
    (10, 14),
)
_RIGHT, _LEFT, _MIDDLE = (255, 96, 48), (48, 160, 255), (255, 224, 64)


def draw_joints(
    image: np.ndarray,
    joints: np.ndarray,
    limbs: Sequence[Tuple[int, int]] = JHMDB_LIMBS,
    names: Sequence[str] = JOINTS,
) -> np.ndarray:
    """Draw joints as dots and the limbs between them.

    Limbs and joints are orange on the body's right, blue on its left,
    yellow in the middle, as the names tell.

    Args:
        image: RGB, uint8 ``(H, W, 3)``.
        joints: ``(2, J)``, x and y in pixels; negative or not finite where
            a joint is lost, which then is left out with its limbs.
        limbs: Pairs of joints, by index.
        names: A name for each joint.

    Returns:
        A new RGB image, uint8 ``(H, W, 3)``.

    Raises:
        ValueError: Another shape of ``joints``, or a limb without its joint.
    """
    joints = np.asarray(joints, dtype=np.float64)
    if joints.ndim != 2 or joints.shape[0] != 2:
        raise ValueError(f'joints must be (2, J), not {joints.shape}')
    count = joints.shape[1]
    if any(not 0 <= i < count for limb in limbs for i in limb):
        raise ValueError(f'limbs name joints beyond the {count} given')
    found = np.isfinite(joints).all(0) & (joints >= 0).all(0)
    at = [
        tuple(int(round(v)) for v in p) if ok else None
        for p, ok in zip(joints.T, found)
    ]
    colors = [_color(names[i] if i < len(names) else '') for i in range(count)]
    out = image.copy()
    size = max(1, round(min(image.shape[:2]) / 160))
    for a, b in limbs:
        if at[a] and at[b]:
            cv2.line(out, at[a], at[b], colors[b], 2 * size, cv2.LINE_AA)
    for point, color in zip(at, colors):
        if point:
            cv2.circle(out, point, 2 * size + 1, (0, 0, 0), -1, cv2.LINE_AA)
            cv2.circle(out, point, 2 * size, color, -1, cv2.LINE_AA)
    return out


def cells_to_pixels(
    cells: np.ndarray, grid: Tuple[int, int], shape: Tuple[int, int]
) -> np.ndarray:
    """From cells of the feature grid to a frame's pixels.

    Args:
        cells: ``(2, J)``, x and y in cells, -1 for a lost joint.
        grid: Cells ``(h, w)``.
        shape: The frame's ``(H, W)``.

    Returns:
        ``(2, J)`` float64, x and y in pixels; -1 stays.
    """
    cells = np.asarray(cells, dtype=np.float64)
    size = np.array([[shape[1] / grid[1]], [shape[0] / grid[0]]])
    return np.where(cells < 0, -1, cells * size)


def _color(name: str) -> Tuple[int, int, int]:
    if name.startswith('right'):
        return _RIGHT
    return _LEFT if name.startswith('left') else _MIDDLE
