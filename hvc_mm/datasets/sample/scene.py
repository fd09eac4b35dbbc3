"""What a sample video shows: a backdrop and actors, back to front."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from .cutouts import CutOut
from .trajectories import Pose


class Motion(Protocol):
    """Anything that tells a pose for every moment."""

    def pose(self, u: float) -> Pose:
        """The pose at moment ``u`` in [0, 1]."""


@dataclass(frozen=True)
class Actor:
    """A cut-out that moves.

    Attributes:
        cut_out: What it looks like.
        motion: Where it is.
        label: Id of its pixels in the masks. 0: it is seen, it covers
            others, but is not annotated.
        enters: The first frame that it is in; before, it is not there.
        category: What it is, for benchmarks that tell.
    """

    cut_out: CutOut
    motion: Motion
    label: int
    enters: int = 0
    category: str = ''


@dataclass(frozen=True)
class Backdrop:
    """A photograph that the camera pans and zooms over.

    Attributes:
        photo: ``(H, W, 3)`` uint8, BGR.
        places: ``(K, 2)``, x and y in [0, 1]: where the window lies between
            the photograph's left and right, upper and lower ends.
        zooms: ``(S,)``, at least 1; at 1 the window is as large as fits.
        tilt: Largest camera roll in radians.
    """

    photo: np.ndarray
    places: np.ndarray
    zooms: np.ndarray
    tilt: float = 0.0


@dataclass(frozen=True)
class Scene:
    """A video before it is rendered.

    Attributes:
        name: The video's name.
        length: Frames, at least 1.
        backdrop: What is behind all.
        actors: Back to front.
        flicker: Amplitude of the change of brightness, as share.
    """

    name: str
    length: int
    backdrop: Backdrop
    actors: tuple[Actor, ...] = field(default_factory=tuple)
    flicker: float = 0.0

    def moment(self, frame: int) -> float:
        """Frame index to ``u`` in [0, 1]."""
        return frame / max(self.length - 1, 1)

    @property
    def labels(self) -> tuple[int, ...]:
        """Ids that masks of this video can hold, ascending."""
        return tuple(sorted({a.label for a in self.actors if a.label}))
