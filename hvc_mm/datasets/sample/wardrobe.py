"""The parts of a figure, cut from photographs.

Part ids are those of VIP (and LIP): 2 hair, 3 gloves, 5 upper clothes,
9 pants, 13 face, 14 and 15 left and right arm, 16 and 17 left and right
leg, 18 and 19 left and right shoe.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from .cutouts import CutOut, cut_polygon, parse_outline
from .photos import load_photo
from .puppet import FOREARM, HIP, SHIN, SHOULDER, THIGH, TORSO, UPPER_ARM

# Pixels per body height at which parts are tailored.
DETAIL = 600.0
# The head is the astronaut's; so many of its pixels are a body height.
HEAD_DETAIL = 780.0
_NOSE = (226.0, 128.0)
_FACE = (
    '192 86 210 76 228 78 246 84 262 92 271 110 271 130 262 150 257 178 228 '
    '188 200 182 187 170 183 150 178 136 172 124 180 108'
)
_HAIR = (
    '194 33 210 22 230 16 246 17 262 23 291 45 299 64 301 84 293 112 279 131 '
    '255 126 200 116 171 120 157 101 154 70 164 52 187 40'
)


def _capsule(length: float, top: float, bottom: float) -> np.ndarray:
    """Outline of a limb: two half discs of given diameters, joined.

    Its axis runs down from (0, -length / 2) to (0, length / 2).
    """
    turns = np.linspace(0, math.pi, 13)
    lower = np.stack((np.cos(turns), np.sin(turns)), 1) * bottom / 2
    upper = -np.stack((np.cos(turns), np.sin(turns)), 1) * top / 2
    return np.concatenate((lower + (0, length / 2), upper - (0, length / 2)))


@dataclass(frozen=True)
class Part:
    """A piece of the figure.

    Attributes:
        name: What it is.
        label: VIP's id.
        joints: It lies between these two, its axis from first to second.
        outline: ``(V, 2)`` about the middle between both, as shares of the
            body's height, axis down.
        photo: Where its cloth comes from.
        corner: x, y of the cloth's corner in the photograph.
        zoom: Size of the cloth's pattern; 1 is as photographed.
    """

    name: str
    label: int
    joints: tuple[str, str]
    outline: np.ndarray
    photo: str
    corner: tuple[int, int]
    zoom: float = 1.0


def _limb(name, label, joints, length, widths, photo, corner, zoom=1.0):
    return Part(
        name, label, joints, _capsule(length, *widths), photo, corner, zoom
    )


def _end(name, label, joints, length, offset, widths, photo, corner):
    """A hand or foot: beyond the second joint of a limb."""
    shift = (offset[0], length / 2 + offset[1])
    outline = _capsule(0.02, *widths) * (1.25, 1.0) + shift
    return Part(name, label, joints, outline, photo, corner)


def _trunk() -> np.ndarray:
    """From the shoulders to the hips, about the middle of neck and belly."""
    top, bottom = -TORSO / 2 - 0.005, TORSO / 2 + HIP[1] + 0.01
    wide, narrow = SHOULDER[0] + 0.035, HIP[0] + 0.06
    return np.array(
        (
            (-0.04, top - 0.015),
            (0.04, top - 0.015),
            (wide, top + 0.01),
            (wide + 0.005, top + 0.06),
            (narrow, 0.04),
            (narrow + 0.01, bottom),
            (-narrow - 0.01, bottom),
            (-narrow, 0.04),
            (-wide - 0.005, top + 0.06),
            (-wide, top + 0.01),
        )
    )


def _arm(side: str, label: int, cloth: tuple) -> list[Part]:
    upper = (f'{side} shoulder', f'{side} elbow')
    lower = (f'{side} elbow', f'{side} wrist')
    photo, corner = cloth
    glove = ('motorcycle_left', (330 if side == 'left' else 395, 280))
    return [
        _limb(f'{side} forearm', label, lower, FOREARM, (0.09, 0.08), photo,
              corner),
        _limb(f'{side} sleeve', 5, upper, UPPER_ARM, (0.12, 0.1),
              'astronaut', (40 if side == 'left' else 130, 270)),
        _end(f'{side} hand', 3, lower, FOREARM, (0, 0.035), (0.085, 0.085),
             *glove),
    ]  # fmt: skip


def _leg(side: str, label: int, shoe: int, cloths: tuple) -> list[Part]:
    upper = (f'{side} hip', f'{side} knee')
    lower = (f'{side} knee', f'{side} ankle')
    trousers, skin, leather = cloths
    toe = 0.012 if side == 'left' else -0.012
    return [
        _limb(f'{side} shin', label, lower, SHIN, (0.11, 0.09), *skin),
        _end(f'{side} foot', shoe, lower, SHIN, (toe, 0.03), (0.09, 0.09),
             *leather),
        _limb(f'{side} thigh', 9, upper, THIGH, (0.14, 0.12), *trousers),
    ]  # fmt: skip


def body_parts() -> tuple[Part, ...]:
    """All parts but the head, back to front."""
    left_leg = (
        ('astronaut', (0, 0)),
        ('chelsea', (40, 20)),
        ('motorcycle_left', (240, 170)),
    )
    right_leg = (
        ('astronaut', (0, 130)),
        ('chelsea', (225, 10)),
        ('motorcycle_left', (400, 175)),
    )
    trunk = Part(
        'trunk', 5, ('neck', 'belly'), _trunk(), 'astronaut', (75, 290), 0.95
    )
    return (
        *_arm('left', 14, ('coffee', (420, 10))),
        *_leg('left', 16, 18, left_leg),
        *_leg('right', 17, 19, right_leg),
        trunk,
        *_arm('right', 15, ('chelsea', (140, 70))),
    )


@lru_cache(maxsize=None)
def tailor(index: int) -> CutOut:
    """Cut the cloth of one of :func:`body_parts`.

    Returns:
        CutOut: Its box's centre is the middle between the part's joints;
        it has ``DETAIL`` pixels to a body height.
    """
    part = body_parts()[index]
    half = np.abs(part.outline).max(axis=0) * DETAIL + 3
    width, height = (2 * np.ceil(half)).astype(int)
    photo = load_photo(part.photo)
    x, y = part.corner
    wide = min(max(round(width / part.zoom), 2), photo.shape[1] - x)
    high = min(max(round(height / part.zoom), 2), photo.shape[0] - y)
    cloth = cv2.resize(
        photo[y : y + high, x : x + wide],
        (int(width), int(height)),
        interpolation=cv2.INTER_CUBIC,
    )
    outline = part.outline * DETAIL + (width / 2, height / 2)
    return _whole_box(part.name, cloth, outline)


def _whole_box(name: str, image: np.ndarray, outline: np.ndarray) -> CutOut:
    """A cut-out that keeps its image's whole box, so that its centre stays."""
    margin = max(image.shape[:2])
    return cut_polygon(name, image, outline, margin)


@lru_cache(maxsize=None)
def head_piece(name: str) -> CutOut:
    """The face or the hair.

    Returns:
        CutOut: Its box is centred on the nose; it has ``HEAD_DETAIL``
        pixels to a body height.
    """
    outline = parse_outline({'face': _FACE, 'hair': _HAIR}[name])
    reach = 116
    x, y = int(_NOSE[0]) - reach, int(_NOSE[1]) - reach
    photo = load_photo('astronaut')[y : y + 2 * reach, x : x + 2 * reach]
    return _whole_box(name, photo, outline - (x, y))
