"""How things move: where, how large, how turned, how bent, at any moment.

Moments are ``u`` in [0, 1] over a video. Places are shares of the frame's
width and height; lengths are shares of ``sqrt(height * width)``. So a scene
can be rendered at any resolution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Pose:
    """How a cut-out lies in a frame.

    Attributes:
        x: Its box's centre, as share of the frame's width.
        y: The same of the height.
        scale: Square root of its area, as share of ``sqrt(H * W)``.
        angle: Turn in radians, clockwise on screen.
        bend: Amplitude of a wave running through it, as share of its
            diagonal.
        phase: Phase of that wave, in turns.
    """

    x: float
    y: float
    scale: float
    angle: float = 0.0
    bend: float = 0.0
    phase: float = 0.0


def smooth_path(waypoints: np.ndarray, u: float) -> np.ndarray:
    """A point of the Catmull-Rom spline through waypoints.

    Args:
        waypoints: ``(K, D)``, K >= 1, passed at equal times.
        u: Moment in [0, 1].

    Returns:
        np.ndarray: ``(D,)``; the first waypoint at 0, the last at 1.
    """
    count = len(waypoints)
    if count == 1:
        return waypoints[0]
    place = min(max(u, 0.0), 1.0) * (count - 1)
    leg = min(int(place), count - 2)
    s = place - leg
    a, b = waypoints[leg], waypoints[leg + 1]
    # Beyond its ends the way goes on straight, so that two points give an
    # even motion.
    before = waypoints[leg - 1] if leg else 2 * a - b
    after = waypoints[leg + 2] if leg + 2 < count else 2 * b - a
    return 0.5 * (
        2 * a
        + (b - before) * s
        + (2 * before - 5 * a + 4 * b - after) * s**2
        + (3 * a - before - 3 * b + after) * s**3
    )


@dataclass(frozen=True)
class Trajectory:
    """A smooth motion.

    Attributes:
        waypoints: ``(K, 2)``, x and y as in :class:`Pose`.
        scales: ``(S,)``, sizes passed at equal times.
        angle: Mean turn in radians.
        swing: Amplitude in radians of the turning to and fro.
        swings: How often it turns to and fro.
        bend: As in :class:`Pose`.
        waves: How often the bending wave passes.
    """

    waypoints: np.ndarray
    scales: np.ndarray
    angle: float = 0.0
    swing: float = 0.0
    swings: float = 1.0
    bend: float = 0.0
    waves: float = 1.0

    def pose(self, u: float) -> Pose:
        """The pose at moment ``u`` in [0, 1]."""
        x, y = smooth_path(self.waypoints, u)
        scale = smooth_path(self.scales[:, None], u)[0]
        turn = self.swing * math.sin(2 * math.pi * self.swings * u)
        return Pose(
            x=float(x),
            y=float(y),
            scale=float(scale),
            angle=self.angle + turn,
            bend=self.bend,
            phase=self.waves * u,
        )
