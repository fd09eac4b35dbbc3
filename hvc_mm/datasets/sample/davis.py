"""The DAVIS layout: 480p frames, palette masks, lists of videos.

The protocol gives the first frame's mask and scores the objects in it. So
in the videos of `2017/val.txt` every object is there from the first frame;
in some of them a further thing comes in later and passes in front, and its
pixels are background, as in DAVIS. One more video, listed in
`2017/newcomer.txt` alone, annotates its newcomer with an id of its own from
the frame where it comes in: it is for semi-supervised methods that take
objects later.
"""

from __future__ import annotations

from typing import Iterator

from .output import SampleFolder, SampleSpec
from .renderer import Renderer
from .scene import Scene
from .staging import draw_scene, stream

# Objects in the first frame, and whether an unlabelled thing comes later.
_CASTS = ((1, False), (2, False), (3, False), (2, True))


def entrance_frame(frames: int) -> int:
    """The frame at which newcomers come in; 0: the video is too short."""
    return frames // 3


def draw_val_scene(spec: SampleSpec, index: int) -> Scene:
    """The scene of one video of the validation list."""
    objects, passer_by = _CASTS[index % len(_CASTS)]
    return draw_scene(
        stream(spec.seed, 'davis', index),
        f'{{objects}}-{index:02d}',
        spec.frames,
        spec.size,
        objects,
        late=entrance_frame(spec.frames) if passer_by else 0,
    )


def draw_newcomer_scene(spec: SampleSpec) -> Scene:
    """The scene whose newcomer has an id."""
    return draw_scene(
        stream(spec.seed, 'davis-newcomer', 0),
        '{objects}-newcomer',
        spec.frames,
        spec.size,
        objects=2,
        late=entrance_frame(spec.frames),
        late_labelled=True,
    )


def draw_testdev_scene(spec: SampleSpec, index: int) -> Scene:
    """The scene of one video of the test-dev list."""
    return draw_scene(
        stream(spec.seed, 'davis-testdev', index),
        f'{{objects}}-testdev-{index:02d}',
        spec.frames,
        spec.size,
        objects=2 + index % 2,
    )


def _write_video(
    folder: SampleFolder, spec: SampleSpec, scene: Scene, annotated: int
) -> Iterator[None]:
    """Write frames, and masks of the first ``annotated`` of them."""
    renderer = Renderer(scene, spec.size)
    for frame in range(scene.length):
        image, ids = renderer.render(frame)
        stem = f'480p/{scene.name}/{frame:05d}'
        folder.write_image(f'DAVIS/JPEGImages/{stem}.jpg', image)
        if frame < annotated:
            folder.write_ids(f'DAVIS/Annotations/{stem}.png', ids)
            folder.counts['masks'] += 1
        folder.counts['frames'] += 1
        yield
    folder.counts['videos'] += 1
    folder.counts['objects'] += len(scene.labels)


def _list(names: list[str]) -> str:
    return ''.join(f'{name}\n' for name in names)


def davis_steps(spec: SampleSpec) -> int:
    """How often :func:`write_davis` yields."""
    newcomer = entrance_frame(spec.frames) > 0
    return (spec.videos + newcomer) * spec.frames


def write_davis(folder: SampleFolder, spec: SampleSpec) -> Iterator[None]:
    """Write DAVIS-2017 val and, as its subset, DAVIS-2016 val.

    Yields:
        None: After every frame.
    """
    names = []
    for index in range(spec.videos):
        scene = draw_val_scene(spec, index)
        yield from _write_video(folder, spec, scene, scene.length)
        names.append(scene.name)
    folder.write_text('DAVIS/ImageSets/2017/val.txt', _list(names))
    # As in reality, 2016's list holds two thirds of 2017's videos.
    older = names[: max(1, round(len(names) * 2 / 3))]
    folder.write_text('DAVIS/ImageSets/2016/val.txt', _list(older))
    if entrance_frame(spec.frames):
        scene = draw_newcomer_scene(spec)
        yield from _write_video(folder, spec, scene, scene.length)
        folder.write_text(
            'DAVIS/ImageSets/2017/newcomer.txt', _list([scene.name])
        )


def testdev_steps(spec: SampleSpec) -> int:
    """How often :func:`write_davis_testdev` yields."""
    return max(spec.videos // 2, 1) * spec.frames


def write_davis_testdev(
    folder: SampleFolder, spec: SampleSpec
) -> Iterator[None]:
    """Write DAVIS-2017 test-dev: masks of the first frames alone.

    Yields:
        None: After every frame.
    """
    names = []
    for index in range(max(spec.videos // 2, 1)):
        scene = draw_testdev_scene(spec, index)
        yield from _write_video(folder, spec, scene, annotated=1)
        names.append(scene.name)
    folder.write_text('DAVIS/ImageSets/2017/test-dev.txt', _list(names))
