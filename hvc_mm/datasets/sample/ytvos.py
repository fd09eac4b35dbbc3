"""The YouTube-VOS layout: sparse annotations, objects that come late.

``YTB/<year>/`` holds, as the releases do:

- ``valid``: every fifth frame; masks only where objects begin; meta.json
- ``valid_all_frames``: all frames of the same videos, the same masks
- ``train``: every fifth frame, all of them with masks; meta.json
- ``train_all_frames``: all frames of those, and ``ytvos.csv``: name, first
  frame, number of frames
"""

from __future__ import annotations

import json
import zlib
from typing import Iterator

import numpy as np

from .davis import entrance_frame
from .output import SampleFolder, SampleSpec
from .renderer import Renderer
from .scene import Scene
from .staging import draw_scene, stream

STEP = 5


def late_entrance(frames: int) -> int:
    """The annotated frame at which newcomers come in.

    0: the video is too short for one.
    """
    if frames <= 2 * STEP:
        return 0
    return max(entrance_frame(frames) // STEP, 1) * STEP


def video_name(year: int, split: str, seed: int, index: int) -> str:
    """Ten hexadecimal digits, as the names of YouTube-VOS are."""
    key = f'{year} {split} {seed} {index}'.encode()
    return f'{index % 256:02x}{zlib.crc32(key):08x}'


def draw_ytvos_scene(
    spec: SampleSpec, year: int, split: str, index: int
) -> Scene:
    """The scene of one video; every other one has a newcomer, with an id.

    Args:
        spec: Of the sample.
        year: 2018 or 2019.
        split: 'train' or 'valid'.
        index: Which video.
    """
    newcomer = index % 2 == 0
    return draw_scene(
        stream(spec.seed, f'ytvos-{year}-{split}', index),
        video_name(year, split, spec.seed, index),
        spec.frames,
        spec.size,
        objects=1 + index % 3,
        late=late_entrance(spec.frames) if newcomer else 0,
        late_labelled=True,
    )


def _objects_meta(scene: Scene, masks: dict[int, np.ndarray]) -> dict:
    """A video's entry in meta.json, from its masks at every fifth frame."""
    objects = {}
    for actor in scene.actors:
        frames = [
            f'{frame:05d}'
            for frame, ids in masks.items()
            if (ids == actor.label).any()
        ]
        objects[str(actor.label)] = {
            'category': actor.category,
            'frames': frames,
        }
    return {'objects': objects}


def _given_masks(
    masks: dict[int, np.ndarray], annotated_again: bool
) -> dict[int, np.ndarray]:
    """The masks that a valid set gives: where objects begin.

    Args:
        masks: ``(H, W)`` uint8 by frame.
        annotated_again: A late mask shows the older objects too.
    """
    given, known = {}, np.zeros(256, bool)
    known[0] = True
    for frame, ids in masks.items():
        new = ~known[ids]
        if new.any():
            given[frame] = ids if annotated_again else np.where(new, ids, 0)
        known[ids] = True
    return {frame: ids.astype(np.uint8) for frame, ids in given.items()}


def _write_split(
    folder: SampleFolder,
    spec: SampleSpec,
    year: int,
    split: str,
    videos: int,
) -> Iterator[None]:
    root = f'YTB/{year}'
    meta, rows = {}, []
    for index in range(videos):
        scene = draw_ytvos_scene(spec, year, split, index)
        renderer = Renderer(scene, spec.size)
        masks = {}
        for frame in range(scene.length):
            image, ids = renderer.render(frame)
            stem = f'JPEGImages/{scene.name}/{frame:05d}.jpg'
            folder.write_image(f'{root}/{split}_all_frames/{stem}', image)
            if frame % STEP == 0:
                masks[frame] = ids
                folder.write_image(f'{root}/{split}/{stem}', image)
            folder.counts['frames'] += 1
            yield
        meta[scene.name] = _objects_meta(scene, masks)
        rows.append(f'{scene.name},0,{scene.length}\n')
        places = [split]
        if split == 'valid':
            # Releases repeat the masks beside all frames.
            places.append('valid_all_frames')
            masks = _given_masks(masks, annotated_again=index % 4 >= 2)
        for frame, ids in masks.items():
            stem = f'Annotations/{scene.name}/{frame:05d}.png'
            for place in places:
                folder.write_ids(f'{root}/{place}/{stem}', ids)
            folder.counts['masks'] += 1
        folder.counts['videos'] += 1
        folder.counts['objects'] += len(scene.labels)
    text = json.dumps({'videos': meta}, indent=1)
    folder.write_text(f'{root}/{split}/meta.json', text)
    if split == 'train':
        folder.write_text(f'{root}/train_all_frames/ytvos.csv', ''.join(rows))


def ytvos18_steps(spec: SampleSpec) -> int:
    """How often :func:`write_ytvos18` yields."""
    return (spec.videos + max(spec.videos // 2, 1)) * spec.frames


def write_ytvos18(folder: SampleFolder, spec: SampleSpec) -> Iterator[None]:
    """Write YouTube-VOS 2018: train and valid.

    Yields:
        None: After every frame.
    """
    train = max(spec.videos // 2, 1)
    yield from _write_split(folder, spec, 2018, 'train', train)
    yield from _write_split(folder, spec, 2018, 'valid', spec.videos)


def ytvos19_steps(spec: SampleSpec) -> int:
    """How often :func:`write_ytvos19` yields."""
    return spec.videos * spec.frames


def write_ytvos19(folder: SampleFolder, spec: SampleSpec) -> Iterator[None]:
    """Write YouTube-VOS 2019: valid alone, since training takes 2018's.

    Yields:
        None: After every frame.
    """
    yield from _write_split(folder, spec, 2019, 'valid', spec.videos)
