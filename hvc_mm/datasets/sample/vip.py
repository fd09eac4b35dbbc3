"""The VIP layout: part ids of a figure in every annotated frame."""

from __future__ import annotations

from typing import Iterator

from .figure import draw_figure_scene
from .output import SampleFolder, SampleSpec
from .puppet import Puppet
from .renderer import Renderer
from .scene import Scene
from .staging import stream

# VIP annotates one frame in 25 and counts frames from 1.
_STEP = 25


def frame_stem(frame: int) -> str:
    """The name of a frame's files, without ending."""
    return f'{1 + _STEP * frame:012d}'


def draw_vip_scene(spec: SampleSpec, index: int) -> tuple[Scene, Puppet]:
    """The scene of one video and the figure in it."""
    rng = stream(spec.seed, 'vip', index)
    name = f'videos{index + 1}'
    return draw_figure_scene(rng, name, index, spec.frames, spec.size)


def vip_steps(spec: SampleSpec) -> int:
    """How often :func:`write_vip` yields."""
    return spec.videos * spec.frames


def write_vip(folder: SampleFolder, spec: SampleSpec) -> Iterator[None]:
    """Write `VIP/VIP_Fine`: images, category ids, the list of val videos.

    Yields:
        None: After every frame.
    """
    root = 'VIP/VIP_Fine'
    names, parts = [], set()
    for index in range(spec.videos):
        scene, _ = draw_vip_scene(spec, index)
        renderer = Renderer(scene, spec.size)
        for frame in range(scene.length):
            image, ids = renderer.render(frame)
            stem = f'{scene.name}/{frame_stem(frame)}'
            folder.write_image(f'{root}/Images/{stem}.jpg', image)
            folder.write_ids(
                f'{root}/Annotations/Category_ids/{stem}.png', ids
            )
            folder.counts['frames'] += 1
            yield
        names.append(scene.name)
        parts.update(scene.labels)
    folder.counts['videos'] = len(names)
    folder.counts['parts'] = len(parts)
    text = ''.join(f'{name}\n' for name in names)
    folder.write_text(f'{root}/lists/val_videos.txt', text)
