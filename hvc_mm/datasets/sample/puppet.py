"""A body of 15 joints that walks, waves, jumps or kicks.

Lengths and places are in units of ``sqrt(height * width)`` of the frame, x
to the right, y down: the same along both axes, unlike a :class:`Pose`'s
shares. The body is seen from the front: its right is on the left.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .trajectories import smooth_path

# In JHMDB's order.
JOINTS = (
    'neck',
    'belly',
    'face',
    'right shoulder',
    'left shoulder',
    'right hip',
    'left hip',
    'right elbow',
    'left elbow',
    'right knee',
    'left knee',
    'right wrist',
    'left wrist',
    'right ankle',
    'left ankle',
)

# Lengths as shares of the body's height.
TORSO = 0.26
FACE_ABOVE_NECK = 0.125
SHOULDER = (0.12, 0.03)
HIP = (0.07, 0.05)
UPPER_ARM, FOREARM = 0.16, 0.15
THIGH, SHIN = 0.22, 0.21

ACTIONS = ('walk', 'wave', 'jump', 'kick_ball')


@dataclass(frozen=True)
class Posture:
    """Angles in radians from straight down, positive to the frame's right.

    Limbs come as (right, left) of the body; ``lift`` raises the body, as
    share of its height.
    """

    lean: float
    nod: float
    upper_arms: tuple[float, float]
    forearms: tuple[float, float]
    thighs: tuple[float, float]
    shins: tuple[float, float]
    lift: float = 0.0


def _walk(s: float) -> Posture:
    stride, swing = math.sin(s), math.sin(s + math.pi)
    return Posture(
        lean=0.04 * math.sin(2 * s),
        nod=0.05 * math.sin(s),
        upper_arms=(-0.25 + 0.45 * swing, 0.25 - 0.45 * swing),
        forearms=(0.05 + 0.6 * swing, 0.35 - 0.6 * swing),
        thighs=(0.4 * stride, -0.4 * stride),
        shins=(0.4 * stride - 0.35, -0.4 * stride - 0.1),
        lift=0.015 * math.cos(2 * s),
    )


def _wave(s: float) -> Posture:
    return Posture(
        lean=0.06 * math.sin(s),
        nod=0.12 * math.sin(s),
        upper_arms=(-1.9 + 0.15 * math.sin(s), 0.3 + 0.1 * math.sin(s)),
        forearms=(-2.9 + 0.6 * math.sin(2 * s), 0.2 + 0.2 * math.sin(s)),
        thighs=(-0.12, 0.12),
        shins=(-0.08, 0.08),
    )


def _jump(s: float) -> Posture:
    up = 0.5 - 0.5 * math.cos(s)
    return Posture(
        lean=0.05 * math.sin(s),
        nod=0.06 * math.sin(s),
        upper_arms=(-0.4 - 1.8 * up, 0.4 + 1.8 * up),
        forearms=(-0.2 - 2.3 * up, 0.2 + 2.3 * up),
        thighs=(-0.55 + 0.4 * up, 0.55 - 0.4 * up),
        shins=(0.25 - 0.3 * up, -0.25 + 0.3 * up),
        lift=0.07 * up,
    )


def _kick(s: float) -> Posture:
    kick = 0.5 - 0.5 * math.cos(s)
    return Posture(
        lean=-0.15 * kick,
        nod=0.1 * kick,
        upper_arms=(-0.5 - 0.5 * kick, 0.5 + 0.4 * kick),
        forearms=(-0.3 - 0.6 * kick, 0.3 + 0.8 * kick),
        thighs=(-0.08, 0.1 + 0.9 * kick),
        shins=(-0.05, -0.2 + 1.3 * kick),
    )


_POSTURES = dict(zip(ACTIONS, (_walk, _wave, _jump, _kick)))


def _along(angle: float, length: float) -> np.ndarray:
    """A step of ``length`` in a direction counted from straight down."""
    return length * np.array((math.sin(angle), math.cos(angle)))


def joints_of(posture: Posture) -> np.ndarray:
    """Places of all joints of a body of height 1 with its belly at 0.

    Returns:
        np.ndarray: ``(2, 15)``, x and y.
    """
    # The trunk's own axes: down along the spine, and to the frame's right.
    down, right = _along(posture.lean, 1.0), _along(posture.lean, 1.0)[::-1]
    right = right * (1, -1)
    at = {'belly': np.zeros(2) - (0, posture.lift)}
    at['neck'] = at['belly'] - TORSO * down
    at['face'] = at['neck'] - _along(
        posture.lean + posture.nod, FACE_ABOVE_NECK
    )
    sides = (('right', -1), ('left', 1))
    for index, (side, sign) in enumerate(sides):
        shoulder = at['neck'] + sign * SHOULDER[0] * right
        shoulder = shoulder + SHOULDER[1] * down
        elbow = shoulder + _along(posture.upper_arms[index], UPPER_ARM)
        hip = at['belly'] + sign * HIP[0] * right + HIP[1] * down
        knee = hip + _along(posture.thighs[index], THIGH)
        at[f'{side} shoulder'], at[f'{side} elbow'] = shoulder, elbow
        at[f'{side} hip'], at[f'{side} knee'] = hip, knee
        at[f'{side} wrist'] = elbow + _along(posture.forearms[index], FOREARM)
        at[f'{side} ankle'] = knee + _along(posture.shins[index], SHIN)
    return np.stack([at[name] for name in JOINTS], axis=1)


@dataclass(frozen=True)
class Puppet:
    """A body on its way through a video.

    Attributes:
        action: One of ``ACTIONS``.
        waypoints: ``(K, 2)``, where its belly goes.
        height: The body's height.
        cycles: How often the action is done in the video.
        start: Phase of the action at the start, in turns.
        size: (H, W) of the frame, for its aspect ratio.

    Raises:
        ValueError: An unknown action.
    """

    action: str
    waypoints: np.ndarray
    height: float
    cycles: float
    start: float
    size: tuple[int, int]

    def __post_init__(self) -> None:
        if self.action not in _POSTURES:
            raise ValueError(
                f'no action {self.action!r}; there are {list(ACTIONS)}'
            )

    def joints(self, u: float) -> np.ndarray:
        """Places at moment ``u`` in [0, 1], ``(2, 15)``."""
        phase = 2 * math.pi * (self.start + self.cycles * u)
        body = joints_of(_POSTURES[self.action](phase))
        return self.height * body + smooth_path(self.waypoints, u)[:, None]

    def joints_in_pixels(self, u: float) -> np.ndarray:
        """``(2, 15)`` in pixels; (0, 0) is the first pixel's centre."""
        unit = math.sqrt(self.size[0] * self.size[1])
        return self.joints(u) * unit - 0.5
