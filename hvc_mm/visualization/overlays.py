"""Masks and joints over a frame.

H, W: height and width of a frame in pixels; J: joints. Pictures are RGB.
"""

from __future__ import annotations

from typing import Sequence, Tuple

import cv2
import numpy as np

from hvc_mm.datasets import davis_palette, objects_in

from .label_places import LabelPlaces
from .panels import draw_label, label_size, text_scale

# Regions that don't reach this deep, in pixels, have no name: most are
# specks of a prediction. A bare id is written for every object.
_NAME_DEPTH = 4
_SIDES = {'right': (255, 96, 48), 'left': (48, 160, 255)}
_MIDDLE = (255, 224, 64)


def overlay_ids(
    image: np.ndarray,
    ids: np.ndarray,
    alpha: float = 0.5,
    names: Sequence[str] = (),
) -> np.ndarray:
    """Draw an id map over a frame, with contours and labels.

    A label is on its object where it hides little of it; else next to it,
    with a line, and hides no object. Where there is no such place, there is
    no label.

    Args:
        image: RGB, uint8 ``(H, W, 3)``.
        ids: uint8 ``(H, W)``; 0 (background) stays clear.
        alpha: Opacity of the colours, 0 to 1.
        names: What to write instead of the ids (parts of the body, say), by
            id; an id beyond them keeps its number.

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
    colored = cv2.addWeighted(image, 1 - alpha, palette[ids], alpha, 0)
    out = np.where((ids > 0)[..., None], colored, image)
    thickness = max(1, round(min(ids.shape) / 240))
    for object_id in objects_in(ids):
        mask = np.pad((ids == object_id).astype(np.uint8), 1)
        contours, _ = cv2.findContours(
            mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE, offset=(-1, -1)
        )
        color = palette[object_id].tolist()
        cv2.drawContours(out, contours, -1, color, thickness)
    # After all contours, so that none crosses a word.
    _draw_names(out, ids, names)
    return out


def _draw_names(
    out: np.ndarray, ids: np.ndarray, names: Sequence[str]
) -> None:
    """Write the objects' names, or ids, where they hide nothing."""
    scale, places = text_scale(out), LabelPlaces(ids > 0)
    labels = []
    for object_id in objects_in(ids):
        known = object_id < len(names)
        name = names[object_id] if known else str(object_id)
        mask = ids == object_id
        size = label_size(name, scale)
        if not size[0] or (names and _depth(mask) < _NAME_DEPTH):
            continue
        place = places.take(mask, size)
        if place is None:
            continue
        labels.append((name, place))
        if not mask[place[::-1]]:
            end = _nearest_pixel(mask, place)
            color = davis_palette()[object_id].tolist()
            cv2.line(out, _edge(place, size, end), end, color, 1)
    for name, place in labels:
        draw_label(out, name, place)


def _nearest_pixel(
    mask: np.ndarray, place: Tuple[int, int]
) -> Tuple[int, int]:
    """Return x and y of the pixel of a mask ``(H, W)`` nearest to a place."""
    y, x = np.nonzero(mask)
    nearest = ((x - place[0]) ** 2 + (y - place[1]) ** 2).argmin()
    return int(x[nearest]), int(y[nearest])


def _depth(mask: np.ndarray) -> float:
    """Return how far a mask's innermost pixel is from its edge."""
    padded = np.pad(mask.astype(np.uint8), 1)
    return float(cv2.distanceTransform(padded, cv2.DIST_L2, 3).max())


def _edge(
    centre: Tuple[int, int], size: Tuple[int, int], end: Tuple[int, int]
) -> Tuple[int, int]:
    """Return where a line from a label's centre leaves the label."""
    way = np.subtract(end, centre)
    half = np.array(size[::-1]) / 2
    share = (half / np.maximum(np.abs(way), 1e-9)).min()
    x, y = (centre + min(share, 1) * way).round().astype(int).tolist()
    return x, y


def draw_joints(
    image: np.ndarray,
    joints: np.ndarray,
    limbs: Sequence[Tuple[int, int]] = (),
    names: Sequence[str] = (),
) -> np.ndarray:
    """Draw joints as dots and the limbs between them.

    Limbs and joints are orange on the body's right, blue on its left,
    yellow in the middle, as the names say.

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
    found = (np.isfinite(joints) & (joints >= 0)).all(0)
    points = {
        int(i): tuple(joints[:, i].round().astype(int).tolist())
        for i in np.flatnonzero(found)
    }
    sides = [name.split()[0] for name in names] + [''] * count
    colors = [_SIDES.get(side, _MIDDLE) for side in sides]
    out = image.copy()
    size = max(1, round(min(image.shape[:2]) / 160))
    for a, b in limbs:
        if a in points and b in points:
            cv2.line(
                out, points[a], points[b], colors[b], 2 * size, cv2.LINE_AA
            )
    for i, point in points.items():
        cv2.circle(out, point, 2 * size + 1, (0, 0, 0), -1, cv2.LINE_AA)
        cv2.circle(out, point, 2 * size, colors[i], -1, cv2.LINE_AA)
    return out
