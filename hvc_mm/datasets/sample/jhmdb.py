"""The JHMDB layout: PNG frames, joints as MATLAB files, three splits."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Iterator

import numpy as np

from .figure import draw_figure_scene
from .output import SampleFolder, SampleSpec
from .puppet import Puppet
from .renderer import Renderer
from .scene import Scene
from .staging import stream

# Bytes of free text at the head of a MATLAB 5 file.
_MAT_TEXT = 116


def draw_jhmdb_scene(spec: SampleSpec, index: int) -> tuple[Scene, Puppet]:
    """The scene of one clip and the figure in it.

    Its name is ``<class>/<clip>``; classes are the figure's actions in turn.
    """
    rng = stream(spec.seed, 'jhmdb', index)
    scene, puppet = draw_figure_scene(
        rng, 'clip', index, spec.frames, spec.size
    )
    action = puppet.action
    name = f'{action}/sample_{action}_f_nm_np1_fr_med_{index}'
    return replace(scene, name=name), puppet


def joints_of_clip(scene: Scene, puppet: Puppet) -> np.ndarray:
    """Joints in pixels counted from 1, as MATLAB does: ``(2, 15, T)``."""
    return 1 + np.stack(
        [
            puppet.joints_in_pixels(scene.moment(frame))
            for frame in range(scene.length)
        ],
        axis=2,
    )


def encode_joints(
    pos_img: np.ndarray, size: tuple[int, int], scale: float
) -> bytes:
    """The content of a `joint_positions.mat`.

    Args:
        pos_img: ``(2, 15, T)``, x and y in pixels counted from 1.
        size: (H, W) of the frames.
        scale: Of the figure; 1 for one as high as the frame.

    Returns:
        bytes: A MATLAB 5 file with ``pos_img``, ``pos_world`` (places from
        the frame's middle as shares of its sides, x times the aspect ratio,
        over the scale), ``scale`` ``(1, T)`` and ``viewpoint``.
    """
    from scipy.io import savemat

    height, width = size
    sides = np.array((width, height), float)[:, None, None]
    aspect = np.array((width / height, 1.0))[:, None, None]
    stream_ = io.BytesIO()
    savemat(
        stream_,
        {
            'pos_img': pos_img,
            'pos_world': (pos_img / sides - 0.5) * aspect / scale,
            'scale': np.full((1, pos_img.shape[2]), scale),
            'viewpoint': 'S',
        },
        do_compression=True,
    )
    content = stream_.getvalue()
    # scipy puts the time there; the same sample must have the same bytes.
    text = b'MATLAB 5.0 MAT-file, joints of a drawn figure'
    return text.ljust(_MAT_TEXT) + content[_MAT_TEXT:]


def jhmdb_steps(spec: SampleSpec) -> int:
    """How often :func:`write_jhmdb` yields."""
    return (spec.videos + 1) * spec.frames


def write_jhmdb(folder: SampleFolder, spec: SampleSpec) -> Iterator[None]:
    """Write `JHMDB`: ``spec.videos`` test clips and one training clip.

    Yields:
        None: After every frame.
    """
    lines: dict[str, list[str]] = {}
    for index in range(spec.videos + 1):
        scene, puppet = draw_jhmdb_scene(spec, index)
        renderer = Renderer(scene, spec.size)
        for frame in range(scene.length):
            image, _ = renderer.render(frame)
            # Frames of JHMDB are counted from 1.
            folder.write_image(
                f'JHMDB/Rename_Images/{scene.name}/{frame + 1:05d}.png', image
            )
            folder.counts['frames'] += 1
            yield
        folder.write_bytes(
            f'JHMDB/joint_positions/{scene.name}/joint_positions.mat',
            encode_joints(
                joints_of_clip(scene, puppet),
                spec.size,
                puppet.height * np.sqrt(spec.size[1] / spec.size[0]),
            ),
        )
        category, clip = scene.name.split('/')
        part = 2 if index < spec.videos else 1
        lines.setdefault(category, []).append(f'{clip}.avi {part}\n')
        folder.counts['test clips' if part == 2 else 'training clips'] += 1
    for split in (1, 2, 3):
        for category, text in lines.items():
            folder.write_text(
                f'JHMDB/splits/{category}_test_split{split}.txt',
                ''.join(text),
            )
