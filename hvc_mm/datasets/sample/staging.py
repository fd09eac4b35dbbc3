"""Drawing scenes at random, until one is fit for its protocol.

Every scene has its own random stream, keyed by seed, benchmark and number:
a sample with more videos begins with the same ones.
"""

from __future__ import annotations

import math
import zlib

import numpy as np

from .cutouts import (
    cut_out,
    cut_out_category,
    cut_out_names,
    cut_out_source,
)
from .photos import load_photo
from .renderer import Renderer
from .scene import Actor, Backdrop, Scene
from .trajectories import Trajectory

# Photographs that make a rich backdrop, and of which of them shows what.
_BACKDROPS = (
    'china',
    'rocket',
    'motorcycle_right',
    'coffee',
    'flower',
    'motorcycle_left',
)
_ATTEMPTS = 400
_SHORT = 10
# Scenes are checked on small masks: visibility needs no detail.
_CHECK_AREA = 96 * 54


def stream(seed: int, purpose: str, index: int) -> np.random.Generator:
    """A random stream of its own for one item of one benchmark."""
    key = zlib.crc32(purpose.encode())
    return np.random.default_rng([seed, key, index])


def _stem(photo: str) -> str:
    """Both views of the motorcycle are one subject."""
    return photo.split('_')[0]


def draw_backdrop(rng: np.random.Generator, taken: set[str]) -> Backdrop:
    """A backdrop that shows none of the photographs in ``taken``."""
    stems = {_stem(photo) for photo in taken}
    choice = [b for b in _BACKDROPS if _stem(b) not in stems]
    photo = load_photo(choice[rng.integers(len(choice))])
    return Backdrop(
        photo=photo,
        places=rng.uniform(0.1, 0.9, (3, 2)),
        zooms=rng.uniform(1.25, 1.7, 2),
        tilt=float(rng.uniform(0, 0.06)),
    )


def draw_motion(
    rng: np.random.Generator, length: int, size_range: tuple[float, float]
) -> Trajectory:
    """A way through the inner frame; longer videos have more turns."""
    count = 2 + max(1, round(length / 25))
    scale = rng.uniform(*size_range)
    cycles = max(1.0, length / 40)
    return Trajectory(
        waypoints=rng.uniform((0.2, 0.25), (0.8, 0.75), (count, 2)),
        scales=scale * rng.uniform(0.8, 1.25, 3),
        angle=float(rng.uniform(-0.2, 0.2)),
        swing=float(rng.uniform(0.1, 0.45)),
        swings=float(rng.uniform(0.5, 1.0) * cycles),
        bend=float(rng.uniform(0.01, 0.025)),
        waves=float(rng.uniform(0.5, 1.5) * cycles),
    )


def draw_entrance(
    rng: np.random.Generator, length: int, enters: int
) -> Trajectory:
    """A way that is at the frame's border when frame ``enters`` comes.

    Most of the thing is inside at once, so that its first mask tells what
    it is; it goes on to the other half of the frame.
    """
    from_left = rng.random() < 0.5
    start, end = (0.12, 0.62) if from_left else (0.88, 0.38)
    height = rng.uniform(0.3, 0.7)
    u = enters / max(length - 1, 1)
    # A straight way needs but two points; the first lies where a thing of
    # even speed would have been at u = 0.
    share = u / max(1 - u, 1e-6)
    before = start - (end - start) * share
    return Trajectory(
        waypoints=np.array(((before, height), (end, 1 - height))),
        scales=rng.uniform(0.24, 0.3) * np.ones(1),
        angle=float(rng.uniform(-0.2, 0.2)),
        swing=float(rng.uniform(0.05, 0.3)),
        bend=float(rng.uniform(0.005, 0.015)),
    )


def _fits(scene: Scene, aspect: float, late: int) -> bool:
    """Whether all is seen when it must be, and something is covered."""
    height = max(round(math.sqrt(_CHECK_AREA / aspect)), 1)
    size = (height, max(round(height * aspect), 1))
    area = size[0] * size[1]
    renderer = Renderer(scene, size)
    step = max(scene.length // 12, 1)
    least_share = 1.0
    for frame in range(0, scene.length, step):
        ids = renderer.ids(frame)
        silhouettes = renderer.silhouettes(frame)
        for actor, silhouette in zip(scene.actors, silhouettes):
            if actor.label == 0 or frame < actor.enters:
                continue
            seen = np.count_nonzero(ids == actor.label)
            covered = np.count_nonzero(silhouette)
            if seen < 0.012 * area:
                return False
            if frame == 0 and seen < 0.8 * covered:
                return False
            least_share = min(least_share, seen / covered)
    if late:
        seen = np.count_nonzero(renderer.silhouettes(late)[-1])
        # The newcomer's size, as share of the frame, is scale squared.
        if seen < 0.6 * 0.24**2 * area:
            return False
    # A clip of a few frames is too short for things to meet.
    return len(scene.actors) == 1 or scene.length < _SHORT or least_share < 0.8


def draw_scene(
    rng: np.random.Generator,
    name: str,
    length: int,
    size: tuple[int, int],
    objects: int,
    late: int = 0,
    late_labelled: bool = False,
) -> Scene:
    """Draw a scene in which objects cover each other in part.

    All objects but the newcomer are there, and almost whole, in frame 0,
    and never vanish.

    Args:
        rng: Where chance comes from.
        name: The video's name, a ``str.format`` pattern that may hold
            ``{objects}`` for the names of what is seen.
        length: Frames.
        size: (H, W), for its aspect ratio.
        objects: How many from the start, 1 to 3.
        late: Frame at which another one enters in front; 0: none does.
        late_labelled: Whether the newcomer gets an id (the next one). If
            not, it is annotated as background, as DAVIS does with things
            that the first frame doesn't show.

    Raises:
        ValueError: ``late`` is beyond the last frame.
        RuntimeError: Nothing fit came up.
    """
    if not 0 <= late < max(length, 1):
        raise ValueError(
            f'a newcomer at frame {late} of {length}; expected 0 (none) to '
            f'{length - 1}'
        )
    # More objects are smaller ones.
    low = 0.36 / math.sqrt(objects + 1)
    for _ in range(_ATTEMPTS):
        names = rng.permutation(cut_out_names())
        names = [str(n) for n in names[: objects + bool(late)]]
        backdrop = draw_backdrop(rng, {cut_out_source(n) for n in names})
        actors = [
            Actor(
                cut_out(each),
                draw_motion(rng, length, (low, 1.3 * low)),
                label,
                category=cut_out_category(each),
            )
            for label, each in enumerate(names[:objects], start=1)
        ]
        if late:
            actors.append(
                Actor(
                    cut_out(names[-1]),
                    draw_entrance(rng, length, late),
                    objects + 1 if late_labelled else 0,
                    enters=late,
                    category=cut_out_category(names[-1]),
                )
            )
        scene = Scene(
            name=name.format(objects='-'.join(names)),
            length=length,
            backdrop=backdrop,
            actors=tuple(actors),
            flicker=0.04,
        )
        if _fits(scene, size[1] / size[0], late):
            return scene
    raise RuntimeError(
        f'no scene of {objects} objects and {length} frames came out fit in '
        f'{_ATTEMPTS} attempts; expected one in a few dozen'
    )
