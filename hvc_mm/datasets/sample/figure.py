"""A puppet, clothed: the actors that follow its joints."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .puppet import ACTIONS, JOINTS, Puppet
from .scene import Actor, Scene
from .staging import draw_backdrop
from .trajectories import Pose
from .wardrobe import (
    DETAIL,
    HEAD_DETAIL,
    body_parts,
    head_piece,
    tailor,
)

_RIGHT_ARM = ('right forearm', 'right sleeve', 'right hand')
# What the figure wears, or what looks too much like it to stand behind it.
_UNFIT = ('astronaut', 'chelsea', 'motorcycle_left', 'coffee', 'flower')
_ATTEMPTS = 400


@dataclass(frozen=True)
class PartMotion:
    """Where a part is: it follows two joints of a puppet.

    Attributes:
        puppet: Whose.
        start, end: Indices of the joints.
        extent: The cut-out's extent as share of the body's height.
        at: 0.5 if the cut-out is centred between the joints, 1 if it is on
            the second one.
        upside_down: The cut-out's axis points up.
    """

    puppet: Puppet
    start: int
    end: int
    extent: float
    at: float = 0.5
    upside_down: bool = False

    def pose(self, u: float) -> Pose:
        """The pose at moment ``u`` in [0, 1]."""
        joints = self.puppet.joints(u)
        start, end = joints[:, self.start], joints[:, self.end]
        dx, dy = (end - start) * (-1 if self.upside_down else 1)
        x, y = start + self.at * (end - start)
        height, width = self.puppet.size
        unit = math.sqrt(height * width)
        return Pose(
            x=float(x * unit / width),
            y=float(y * unit / height),
            scale=self.extent * self.puppet.height,
            # The turn that takes straight down to (dx, dy).
            angle=math.atan2(-dx, dy),
        )


def clothe(puppet: Puppet) -> tuple[Actor, ...]:
    """The actors that make up a figure, back to front."""
    actors = []
    for index, part in enumerate(body_parts()):
        piece = tailor(index)
        motion = PartMotion(
            puppet,
            *(JOINTS.index(joint) for joint in part.joints),
            extent=piece.extent / DETAIL,
        )
        actors.append(Actor(piece, motion, part.label, category=part.name))
    neck, face = JOINTS.index('neck'), JOINTS.index('face')
    for name, label in (('hair', 2), ('face', 13)):
        piece = head_piece(name)
        motion = PartMotion(
            puppet,
            neck,
            face,
            extent=piece.extent / HEAD_DETAIL,
            at=1.0,
            upside_down=True,
        )
        actors.append(Actor(piece, motion, label, category=name))
    # The right arm comes before the face when it waves.
    in_front = [a for a in actors if a.category in _RIGHT_ARM]
    return (*(a for a in actors if a.category not in _RIGHT_ARM), *in_front)


def draw_puppet(
    rng: np.random.Generator, action: str, frames: int, size: tuple[int, int]
) -> Puppet:
    """A figure on a random way that keeps all its joints in the frame.

    Raises:
        RuntimeError: No such way came up.
    """
    unit = math.sqrt(size[0] * size[1])
    high, wide = size[0] / unit, size[1] / unit
    for _ in range(_ATTEMPTS):
        height = min(0.78 * high, 1.1 * wide) * rng.uniform(0.85, 1.0)
        count = 2 + (action == 'walk')
        x = rng.uniform(0.3, 0.7, count) * wide
        y = rng.uniform(0.42, 0.52, count) * high
        puppet = Puppet(
            action=action,
            waypoints=np.stack((x, y), axis=1),
            height=float(height),
            cycles=max(1.0, frames / 24) * float(rng.uniform(0.8, 1.1)),
            start=float(rng.uniform()),
            size=size,
        )
        places = np.stack(
            [puppet.joints(u) for u in np.linspace(0, 1, 2 * frames + 1)]
        )
        margin = 0.05 * height
        inside = (places > margin) & (
            places < np.array((wide, high))[:, None] - margin
        )
        if inside.all():
            return puppet
    raise RuntimeError(
        f'no way through a frame of {size} was found for a figure that does '
        f'{action}; expected one in a few dozen attempts'
    )


def draw_figure_scene(
    rng: np.random.Generator,
    name: str,
    index: int,
    frames: int,
    size: tuple[int, int],
) -> tuple[Scene, Puppet]:
    """A scene with one figure; the action goes by ``index``."""
    puppet = draw_puppet(rng, ACTIONS[index % len(ACTIONS)], frames, size)
    backdrop = draw_backdrop(rng, set(_UNFIT))
    scene = Scene(name, frames, backdrop, clothe(puppet), flicker=0.03)
    return scene, puppet
