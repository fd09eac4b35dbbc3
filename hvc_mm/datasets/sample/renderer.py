"""From a scene to frames and exact masks.

Legend: H, W: height and width of a frame in pixels.

Each actor is sampled backwards: for every pixel of the frame the place in
its cut-out is computed, bilinearly. Colours blend by the sampled coverage;
a pixel belongs to the front-most actor that covers at least half of it. So
the mask is what can be seen, by construction.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from .cutouts import CutOut
from .scene import Actor, Backdrop, Scene
from .trajectories import Pose, smooth_path


def _window(backdrop: Backdrop, u: float, size: tuple) -> np.ndarray:
    """``(2, 3)`` map of a frame's pixels to the backdrop's."""
    height, width = size
    photo_height, photo_width = backdrop.photo.shape[:2]
    zoom = smooth_path(backdrop.zooms[:, None], u)[0]
    step = min(photo_width / width, photo_height / height) / zoom
    place = np.clip(smooth_path(backdrop.places, u), 0, 1)
    spare = (photo_width - width * step, photo_height - height * step)
    centre = place * spare + np.array((width, height)) * step / 2
    angle = backdrop.tilt * math.sin(2 * math.pi * u)
    cos, sin = step * math.cos(angle), step * math.sin(angle)
    turn = np.array(((cos, -sin), (sin, cos)))
    middle = np.array(((width - 1) / 2, (height - 1) / 2))
    return np.column_stack((turn, centre - 0.5 - turn @ middle))


def render_backdrop(backdrop: Backdrop, u: float, size: tuple) -> np.ndarray:
    """The backdrop as the camera sees it.

    Args:
        backdrop: The photograph and the camera's way over it.
        u: Moment in [0, 1].
        size: (H, W).

    Returns:
        np.ndarray: ``(H, W, 3)`` float32, BGR in [0, 255].
    """
    image = cv2.warpAffine(
        backdrop.photo,
        _window(backdrop, u, size),
        (size[1], size[0]),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    return image.astype(np.float32)


def _shrink(cut_out: CutOut, factor: float) -> CutOut:
    """The cut-out at a resolution that can be sampled without aliasing."""
    if factor >= 1:
        return cut_out
    height, width = cut_out.alpha.shape
    size = (max(round(width * factor), 1), max(round(height * factor), 1))
    # What was reached is not quite what was asked for.
    reached = math.sqrt(size[0] * size[1] / (width * height))
    return CutOut(
        cut_out.name,
        cv2.resize(cut_out.image, size, interpolation=cv2.INTER_AREA),
        cv2.resize(cut_out.alpha, size, interpolation=cv2.INTER_AREA),
        cut_out.extent * reached,
    )


def sample_cut_out(
    cut_out: CutOut, pose: Pose, size: tuple
) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray]:
    """Lay a cut-out into a frame.

    Args:
        cut_out: What to lay.
        pose: Where and how.
        size: (H, W).

    Returns:
        tuple: The box of the frame that was sampled, as row and column
        slices (empty when the cut-out is outside); in it the colours
        ``(h, w, 3)`` float32 and the coverage ``(h, w)`` float32 in [0, 1].
    """
    height, width = size
    source_height, source_width = cut_out.alpha.shape
    diagonal = math.hypot(source_height, source_width)
    scale = pose.scale * math.sqrt(height * width) / cut_out.extent
    centre_x, centre_y = pose.x * width - 0.5, pose.y * height - 0.5
    # Bending moves a point by `bend` diagonals along each axis at most.
    reach = scale * diagonal * (0.5 + 1.5 * pose.bend) + 1
    rows = slice(
        min(max(math.floor(centre_y - reach), 0), height),
        min(max(math.ceil(centre_y + reach) + 1, 0), height),
    )
    columns = slice(
        min(max(math.floor(centre_x - reach), 0), width),
        min(max(math.ceil(centre_x + reach) + 1, 0), width),
    )
    box = (rows.stop - rows.start, columns.stop - columns.start)
    if min(box) <= 0:
        empty = np.zeros((max(box[0], 0), max(box[1], 0)), np.float32)
        return (rows, columns), np.stack([empty] * 3, axis=-1), empty
    y = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None]
    x = np.arange(columns.start, columns.stop, dtype=np.float32)[None]
    cos = math.cos(pose.angle) / scale
    sin = math.sin(pose.angle) / scale
    dx, dy = x - centre_x, y - centre_y
    source_x = cos * dx + sin * dy
    source_y = cos * dy - sin * dx
    if pose.bend:
        turns = 2 * np.pi / diagonal
        wave = pose.bend * diagonal
        phase = 2 * np.pi * pose.phase
        source_x, source_y = (
            source_x + wave * np.sin(turns * source_y + phase),
            source_y + wave * np.sin(turns * source_x + phase),
        )
    map_x = (source_x + (source_width - 1) / 2).astype(np.float32)
    map_y = (source_y + (source_height - 1) / 2).astype(np.float32)
    colours = cv2.remap(
        cut_out.image,
        map_x,
        map_y,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    alpha = cv2.remap(
        cut_out.alpha,
        map_x,
        map_y,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=0,
    )
    return (rows, columns), colours.astype(np.float32), alpha


class Renderer:
    """Renders a scene frame by frame at one size.

    Args:
        scene: What to render.
        size: (H, W).
    """

    def __init__(self, scene: Scene, size: tuple) -> None:
        self.scene = scene
        self.size = size
        unit = math.sqrt(size[0] * size[1])
        self._shrunk = []
        for actor in scene.actors:
            largest = max(
                actor.motion.pose(scene.moment(frame)).scale
                for frame in range(scene.length)
            )
            factor = largest * unit / actor.cut_out.extent
            self._shrunk.append(_shrink(actor.cut_out, factor))

    def _present(self, frame: int) -> list[tuple[Actor, CutOut, Pose]]:
        """Who is there, back to front."""
        u = self.scene.moment(frame)
        return [
            (actor, cut_out, actor.motion.pose(u))
            for actor, cut_out in zip(self.scene.actors, self._shrunk)
            if frame >= actor.enters
        ]

    def ids(self, frame: int) -> np.ndarray:
        """The mask alone, faster than :meth:`render`.

        Returns:
            np.ndarray: ``(H, W)`` uint8, the label seen at each pixel.
        """
        ids = np.zeros(self.size, np.uint8)
        for actor, cut_out, pose in self._present(frame):
            box, _, alpha = sample_cut_out(cut_out, pose, self.size)
            ids[box][alpha >= 0.5] = actor.label
        return ids

    def silhouettes(self, frame: int) -> np.ndarray:
        """What each actor covers, whether or not another is before it.

        Returns:
            np.ndarray: ``(A, H, W)`` bool, in the order of the scene's
            actors; all False for one that has not entered.
        """
        covered = np.zeros((len(self.scene.actors), *self.size), bool)
        indices = {id(a): i for i, a in enumerate(self.scene.actors)}
        for actor, cut_out, pose in self._present(frame):
            box, _, alpha = sample_cut_out(cut_out, pose, self.size)
            covered[indices[id(actor)]][box] = alpha >= 0.5
        return covered

    def render(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """One frame and its mask.

        Returns:
            tuple: ``(H, W, 3)`` uint8, BGR; ``(H, W)`` uint8 ids.
        """
        u = self.scene.moment(frame)
        image = render_backdrop(self.scene.backdrop, u, self.size)
        ids = np.zeros(self.size, np.uint8)
        for actor, cut_out, pose in self._present(frame):
            box, colours, alpha = sample_cut_out(cut_out, pose, self.size)
            below = image[box]
            below += alpha[..., None] * (colours - below)
            ids[box][alpha >= 0.5] = actor.label
        gain = 1 + self.scene.flicker * math.sin(4 * math.pi * u)
        image = np.clip(np.rint(image * gain), 0, 255).astype(np.uint8)
        return image, ids
