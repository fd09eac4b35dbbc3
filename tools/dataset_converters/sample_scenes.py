"""Draw what the sample shows: photo cut-outs and figures that move.

A scene is a list of pieces, back to front. A piece is the part of a
photograph inside a polygon, moved into the frame by an affine map. Its
polygon moves with it, so masks are exact: a pixel belongs to the front-most
piece that covers at least half of it.

Legend: H, W: height and width of a frame; V: vertices of a polygon. Points
are x, y in pixels; pixel (row i, column j) is the square
``[j, j + 1] x [i, i + 1]``. A moment ``u`` runs from 0 to 1 over a video.
"""

from __future__ import annotations

import importlib.util
import math
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Callable, Dict, Tuple

import cv2
import numpy as np
from PIL import Image

Size = Tuple[int, int]  # (H, W)
# From a moment to x and y of joints, by name.
Joints = Callable[[float], Dict[str, np.ndarray]]

# Module that holds photographs -> what pip installs, folder, files. These
# are inside the wheels of scikit-image 0.24 to 0.26 and scikit-learn 1.5 to
# 1.9; others are fetched by scikit-image on demand.
_SOURCES = {
    'skimage': (
        'scikit-image',
        'data',
        'astronaut.png chelsea.png coffee.png motorcycle_left.png rocket.jpg',
    ),
    'sklearn': ('scikit-learn', 'datasets/images', 'china.jpg flower.jpg'),
}
PHOTOS = {
    file: module for module, s in _SOURCES.items() for file in s[2].split()
}


# What photographs show: file, category (COCO's, where it has one), centre and
# half axes of the ellipse around it.
THINGS = {
    'astronaut': ('astronaut.png', 'person', (222, 100), (78, 94)),
    'cat': ('chelsea.png', 'cat', (215, 148), (165, 130)),
    'coffee': ('coffee.png', 'cup', (280, 200), (185, 172)),
    'motorcycle': (
        'motorcycle_left.png',
        'motorcycle',
        (370, 280),
        (200, 125),
    ),
    'pagoda': ('china.jpg', 'building', (206, 222), (128, 172)),
    'dahlia': ('flower.jpg', 'potted plant', (307, 221), (133, 130)),
}
# COCO's ids of those that are its categories.
CATEGORIES = {'person': 1, 'motorcycle': 4, 'cat': 17, 'cup': 47}
CATEGORIES['potted plant'] = 64


def stream(seed: int, purpose: str, index: int) -> np.random.Generator:
    """Give one item of one benchmark its own random stream.

    So a sample with more videos begins with the same ones.
    """
    return np.random.default_rng([seed, zlib.crc32(purpose.encode()), index])


@lru_cache(maxsize=None)
def load_photo(name: str, halvings: int = 0) -> np.ndarray:
    """Read a photograph ``(H, W, 3)`` uint8 BGR inside its package.

    Its sides are halved some times.
    """
    if halvings:
        photo = load_photo(name)
        size = [max(side >> halvings, 1) for side in photo.shape[1::-1]]
        return cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
    package, folder, _ = _SOURCES[PHOTOS[name]]
    # Importing the package would cost seconds.
    spec = importlib.util.find_spec(PHOTOS[name])
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            f'the sample is cut from photographs of {package}, which is not '
            f'installed: pip install {package}'
        )
    path = Path(next(iter(spec.submodule_search_locations)), folder, name)
    if not path.is_file():
        raise FileNotFoundError(
            f'{package} is installed, but without {path}; expected a release '
            'that ships it, e.g. pip install scikit-image==0.24.0 '
            'scikit-learn==1.5.2'
        )
    try:
        with Image.open(path) as image:
            return np.array(image.convert('RGB'))[..., ::-1].copy()
    except (OSError, SyntaxError) as error:
        raise ValueError(f'cannot decode {path}: {error}') from error


def affine(
    scale: tuple[float, float], angle: float, source: tuple, target: tuple
) -> np.ndarray:
    """Make the ``(2, 3)`` map that scales and turns by ``angle``, clockwise.

    It moves ``source`` to ``target``.
    """
    cos, sin = math.cos(angle), math.sin(angle)
    turn = np.array(((cos, -sin), (sin, cos))) * scale
    return np.column_stack((turn, target - turn @ source))


def move(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Apply a ``(2, 3)`` map to ``(V, 2)`` points."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def coverage(
    polygon: np.ndarray, size: Size
) -> tuple[tuple[slice, slice], np.ndarray]:
    """Measure how much of each pixel a polygon ``(V, 2)`` covers.

    Returns:
        tuple: The polygon's box in the frame as two slices, rows first, and
        ``(h, w)`` float32 in [0, 1] inside it, in steps of 1/64.
    """
    frame = size[::-1]
    low = np.clip(np.floor(polygon.min(0)), 0, frame).astype(int)
    high = np.clip(np.ceil(polygon.max(0)), low, frame).astype(int)
    box = slice(low[1], high[1]), slice(low[0], high[0])
    width, height = high - low
    fine = np.zeros((8 * height, 8 * width), np.uint8)
    if fine.size:
        # fillPoly puts integers at the centres of the fine pixels.
        corners = np.rint((polygon - low) * 8 - 0.5).astype(np.int32)
        cv2.fillPoly(fine, [corners], 255)
        fine = cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA)
    return box, fine / np.float32(255)


@dataclass(frozen=True)
class Piece:
    """The part of a photograph that moves through a scene.

    Attributes:
        outline: ``(V, 2)`` in the photograph's pixels.
        motion: Moment to ``(2, 3)`` map from photograph to frame.
        label: Id of its pixels in masks; 0: seen, but not annotated.
        enters: The first frame that it is in.
    """

    photo: str
    outline: np.ndarray
    motion: Callable[[float], np.ndarray]
    label: int = 0
    enters: int = 0
    category: str = ''

    def paint(self, image: np.ndarray, ids: np.ndarray, u: float) -> None:
        """Paint it over ``(H, W, 3)`` float32 BGR and ``(H, W)`` ids."""
        matrix = self.motion(u)
        box, alpha = coverage(move(matrix, self.outline), ids.shape)
        if not alpha.size:
            return
        # Sampling a photograph that is about as large as its picture
        # avoids aliasing.
        scale = math.sqrt(abs(np.linalg.det(matrix[:, :2])))
        halvings = max(round(-math.log2(scale)), 0)
        photo = load_photo(self.photo, halvings)
        whole = load_photo(self.photo).shape
        matrix[:, 0] *= whole[1] / photo.shape[1]
        matrix[:, 1] *= whole[0] / photo.shape[0]
        # OpenCV counts from the centres of pixels, and from the box.
        matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
        matrix[:, 2] -= box[1].start, box[0].start
        colours = cv2.warpAffine(
            photo, matrix, alpha.shape[::-1], borderMode=cv2.BORDER_REFLECT_101
        )
        below = image[box]
        below += alpha[..., None] * (colours - below)
        ids[box][alpha >= 0.5] = self.label


@dataclass(frozen=True)
class Scene:
    """A video before it is drawn; pieces are back to front."""

    name: str
    length: int
    size: Size
    pieces: tuple[Piece, ...]
    joints: Joints | None = None

    @property
    def labels(self) -> list[int]:
        """Ids that masks of this video can hold, ascending."""
        return sorted({piece.label for piece in self.pieces} - {0})

    def moment(self, frame: int) -> float:
        """Frame index to ``u``."""
        return frame / max(self.length - 1, 1)

    def render(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw a frame ``(H, W, 3)`` uint8 BGR and its ``(H, W)`` ids."""
        image = np.zeros((*self.size, 3), np.float32)
        ids = np.zeros(self.size, np.uint8)
        for piece in self.pieces:
            if frame >= piece.enters:
                piece.paint(image, ids, self.moment(frame))
        # Light changes a little, as a camera's exposure does.
        image *= 1 + 0.04 * math.sin(4 * math.pi * self.moment(frame))
        return np.clip(np.rint(image), 0, 255).astype(np.uint8), ids


def draw_backdrop(
    rng: np.random.Generator, size: Size, taken: set[str]
) -> Piece:
    """Draw a camera's way over a photograph that is not in ``taken``."""
    choice = [name for name in PHOTOS if name not in taken]
    name = choice[rng.integers(len(choice))]
    photo = np.array(load_photo(name).shape[1::-1])
    frame = np.array(size[::-1])
    zoom, zoom_speed = rng.uniform((1.2, -0.15), (2.2, 0.3))
    place, way = rng.uniform((0.3, -0.3), (0.7, 0.3), (2, 2)).T
    tilt = rng.uniform(-0.05, 0.05)

    def motion(u: float) -> np.ndarray:
        scale = max(frame / photo) * (zoom + zoom_speed * u)
        room = photo - frame / scale
        centre = frame / scale / 2 + (place + way * u) * room
        return affine((scale, scale), tilt * u, centre, frame / 2)

    # Beyond its border, which the tilt may show, a photograph is mirrored.
    corners = np.array(((-1, -1), (2, -1), (2, 2), (-1, 2)))
    return Piece(name, corners * photo, motion)


def swing(
    middle: np.ndarray, way: np.ndarray, cycles: float, phase: float = 0
) -> Callable[[float], np.ndarray]:
    """Make a way to and fro, ``middle + way * sin(2 pi cycles u + phase)``."""
    return lambda u: middle + way * math.sin(2 * math.pi * cycles * u + phase)


def _draw_thing(
    rng: np.random.Generator,
    name: str,
    diameter: float,
    place: Callable[[float], np.ndarray],
) -> tuple[str, np.ndarray, Callable[[float], np.ndarray]]:
    """Cut a thing out, along an uneven ellipse in a circle of a diameter.

    It follows ``place``, turns and is squashed a little. Gives photo, outline
    and motion of a :class:`Piece`.
    """
    photo, _, centre, radii = THINGS[name]
    turns = np.linspace(0, 2 * math.pi, 60, endpoint=False)
    waves = np.sin(np.outer((2, 3, 5), turns) + rng.uniform(0, 6, (3, 1)))
    circle = np.stack((np.cos(turns), np.sin(turns)), 1)
    circle *= (0.91 + 0.03 * waves.sum(0))[:, None]
    scale = diameter / 2 / max(radii)
    tilt, turn = rng.uniform((-0.3, -0.4), (0.3, 0.4))
    squash = swing(0, 0.08, *rng.uniform((0.5, 0), (2, 6)))

    def motion(u: float) -> np.ndarray:
        scales = scale * (1 + squash(u)), scale * (1 - squash(u))
        return affine(scales, tilt + turn * u, centre, place(u))

    return photo, centre + circle * radii, motion


def draw_scene(
    rng: np.random.Generator,
    name: str,
    length: int,
    size: Size,
    objects: int,
    late: int = 0,
    late_label: int = 0,
) -> Scene:
    """Draw a scene in which things cover each other in part.

    Each swings about a column of its own, neighbours against each other: all
    are whole in frame 0, then two meet, and none is ever hidden.

    Args:
        name: A pattern that may hold ``{objects}``.
        objects: How many from the start; their ids are 1, 2, ...
        late: Frame at which another one comes in at a side, lower than the
            others and in front of them; 0: none does.
        late_label: Its id; 0: it is background, as in DAVIS what the first
            frame doesn't show.
    """
    frame = np.array(size[::-1])
    names = rng.permutation(list(THINGS))[: objects + bool(late)].tolist()
    pieces = [draw_backdrop(rng, size, {THINGS[each][0] for each in names})]
    column = frame[0] / max(objects, 1)
    diameter = min(0.9 * column, 0.48 * frame[1]) * rng.uniform(0.85, 1)
    # Neighbours come as close as 0.55 diameters, which covers a third.
    reach = min((column - 0.55 * diameter) / 2, 0.3 * frame[0])
    # A swing takes some 40 frames; a short video holds half a one.
    cycles = rng.uniform(0.8, 1.2) * max(length / 40, 0.6)
    for index, each in enumerate(names[:objects]):
        height, way = rng.uniform((0.36, -0.06), (0.44, 0.06)) * frame[1]
        middle = np.array(((index + 0.5) * column, height))
        place = swing(middle, np.array((reach * (-1) ** index, way)), cycles)
        drawn = _draw_thing(rng, each, diameter, place)
        pieces.append(Piece(*drawn, index + 1, 0, THINGS[each][1]))
    if late:
        side = rng.choice((-1, 1)) * math.pi / 2
        phase = side - 2 * math.pi * cycles * late / (length - 1)
        place = swing(frame * (0.5, 0.74), frame * (0.36, 0), cycles, phase)
        drawn = _draw_thing(rng, names[-1], 0.45 * frame[1], place)
        pieces.append(Piece(*drawn, late_label, late, THINGS[names[-1]][1]))
    title = name.format(objects='-'.join(names))
    return Scene(title, length, size, tuple(pieces))


# What a figure does: how far its arms are lifted, and how far arms and legs
# swing; radians. The names are the folders of JHMDB's classes.
ACTIONS = {
    'walk': (0.3, 0.45, 0.35),
    'wave': (1.9, 0.3, 0.0),
    'jump': (1.3, 0.8, 0.2),
    'kick_ball': (0.7, 0.3, 0.4),
}
# Capsules back to front: VIP's part ids of the right and the left one, the
# joints between which their axis runs, where on that way it begins and ends,
# its radius as share of the body's height.
_CAPSULES = (
    ((17, 16), ('knee', 'ankle'), (0, 1), 0.05),
    ((19, 18), ('knee', 'ankle'), (1.05, 1.25), 0.045),
    ((9, 9), ('hip', 'knee'), (0, 1), 0.065),
    ((5,), ('neck', 'belly'), (0.1, 0.95), 0.12),
    ((2,), ('neck', 'face'), (1.1, 1.4), 0.075),
    ((13,), ('neck', 'face'), (0.8, 1.1), 0.065),
    ((15, 14), ('elbow', 'wrist'), (0, 1), 0.042),
    ((3, 3), ('elbow', 'wrist'), (1.15, 1.3), 0.042),
    ((5, 5), ('shoulder', 'elbow'), (0, 1), 0.055),
)
# The furthest that a capsule comes from the belly, as such a share.
_REACH = 0.64
# Pixels of a photograph that make a body's height.
_DETAIL = 400
_CLOTHS = ('astronaut.png', 'chelsea.png', 'motorcycle_left.png', 'coffee.png')


def body_joints(action: str, phase: float) -> dict[str, np.ndarray]:
    """Place the joints ``(x, y)`` of a body of height 1, seen from the front.

    The belly is at 0, the right side on the left.
    """
    lift, arms, legs = ACTIONS[action]
    arm = lift + arms * math.sin(phase)
    leg = 0.2 + legs * math.sin(phase)
    bones = (
        # joint, the one it hangs on, length, angle outwards from straight
        # down
        ('neck', 'belly', 0.26, math.pi),
        ('face', 'neck', 0.125, math.pi),
        ('shoulder', 'neck', 0.124, 1.33),
        ('elbow', 'shoulder', 0.16, arm),
        ('wrist', 'elbow', 0.15, 1.25 * arm),
        ('hip', 'belly', 0.086, 0.95),
        ('knee', 'hip', 0.22, leg),
        ('ankle', 'knee', 0.21, 0.7 * leg),
    )
    at = {'belly': np.zeros(2)}
    for joint, parent, length, angle in bones:
        sides = ('',) if joint in ('neck', 'face') else ('right ', 'left ')
        for side in sides:
            outwards = -1 if side == 'right ' else 1
            way = outwards * math.sin(angle), math.cos(angle)
            start = at.get(side + parent, at.get(parent))
            at[side + joint] = start + length * np.array(way)
    return at


def _draw_capsule(
    rng: np.random.Generator,
    joints: Joints,
    height: float,
    ends: list[str],
    span: tuple[float, float],
    radius: float,
) -> tuple[str, np.ndarray, Callable[[float], np.ndarray]]:
    """Cut a capsule from a random place: its photo, outline and motion."""
    first, second = ends
    bone = np.linalg.norm(joints(0)[second] - joints(0)[first]) / height
    half = bone * (span[1] - span[0]) / 2
    turns = np.linspace(0, math.pi, 13)
    arc = np.stack((np.cos(turns), np.sin(turns)), 1) * radius
    outline = _DETAIL * np.concatenate((arc + (0, half), -arc - (0, half)))
    photo = _CLOTHS[rng.integers(len(_CLOTHS))]
    margin = outline.max(0)
    centre = rng.uniform(margin, load_photo(photo).shape[1::-1] - margin)

    def motion(u: float) -> np.ndarray:
        a, b = joints(u)[first], joints(u)[second]
        # The turn that takes straight down to b - a.
        angle = math.atan2(*(b - a) * (-1, 1))
        scales = (height / _DETAIL, height / _DETAIL)
        return affine(scales, angle, centre, a + sum(span) / 2 * (b - a))

    return photo, outline + centre, motion


def draw_figure(
    rng: np.random.Generator, name: str, action: str, length: int, size: Size
) -> Scene:
    """Draw a scene with a figure of capsules, all of it in the frame."""
    frame = np.array(size[::-1])
    height = frame.min() / (2 * _REACH) * rng.uniform(0.85, 1)
    room = frame / 2 - _REACH * height
    begin, end = frame / 2 + rng.uniform(-1, 1, (2, 2)) * room
    phase, cycles = rng.uniform((0, 0.8), (2 * math.pi, 1.1))
    cycles *= max(1.0, length / 24)

    def joints(u: float) -> dict[str, np.ndarray]:
        body = body_joints(action, phase + 2 * math.pi * cycles * u)
        belly = begin + (end - begin) * u
        return {joint: belly + height * place for joint, place in body.items()}

    pieces = [draw_backdrop(rng, size, set(_CLOTHS))]
    for labels, ends, *shape in _CAPSULES:
        sides = ('right ', 'left ') if len(labels) == 2 else ('',)
        for label, side in zip(labels, sides):
            named = [side + joint for joint in ends]
            drawn = _draw_capsule(rng, joints, height, named, *shape)
            pieces.append(Piece(*drawn, label))
    return Scene(name, length, size, tuple(pieces), joints)
