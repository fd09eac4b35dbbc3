"""Take in what a browser sent: check it, and keep it in a session's folder.

H, W: height and width of a frame in pixels.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Iterator, List, NamedTuple, Sequence, Union

import mmcv

from hvc_mm.apis import FrameSource, open_frames
from hvc_mm.datasets import IMAGE_SUFFIXES, write_picture

PathLike = Union[str, Path]

# How the containers that are taken begin: where, and with which bytes. A
# name says little, and FFmpeg would follow a playlist to other files.
_CONTAINERS = {
    'mp4 or mov': [
        (4, tag) for tag in (b'ftyp', b'moov', b'mdat', b'wide', b'free')
    ],
    'avi': [(8, b'AVI ')],
    'mkv or webm': [(0, b'\x1a\x45\xdf\xa3')],
    'mpg': [(0, b'\x00\x00\x01\xba'), (0, b'\x00\x00\x01\xb3')],
}


class Limits(NamedTuple):
    """What a session may bring.

    Attributes:
        frames: Of a video, at most.
        pixels: Of a frame, at most.
        megabytes: Of all files together, at most.
    """

    frames: int = 1500
    pixels: int = 1920 * 1088
    megabytes: int = 500


def take_upload(
    files: Sequence[PathLike], folder: PathLike, limits: Limits
) -> FrameSource:
    """Move uploaded files into a folder, and open them as a video.

    Args:
        files: A video, or the images of a folder; what else is in the folder
            is left out.
        folder: Where they are moved to; its own, and empty.
        limits: Checked as far as that needs no decoding.

    Raises:
        ValueError: There is no video or image among them, or too much; in
            one sentence that names the file as its owner knows it.
    """
    paths = [Path(path) for path in files]
    gone = [path.name for path in paths if not path.is_file()]
    if gone or not paths:
        raise ValueError(
            f'{gone[0] if gone else "the upload"} is not here (any more); '
            'choose it again'
        )
    size = sum(path.stat().st_size for path in paths)
    if size > limits.megabytes * 1e6:
        raise ValueError(
            f'{_called(paths)} has {size / 1e6:.0f} MB; at most '
            f'{limits.megabytes} MB are taken'
        )
    images = [p for p in paths if p.suffix.lower() in IMAGE_SUFFIXES]
    images = [path for path in images if not path.name.startswith('.')]
    if images:
        return open_frames(_move_images(images, Path(folder) / 'frames'))
    if len(paths) > 1:
        raise ValueError(
            f'none of {len(paths)} files is an image; expected one video, or '
            'a folder of images'
        )
    return _open_video(_moved(paths[0], Path(folder)))


def save_pictures(
    source: FrameSource, folder: PathLike, limits: Limits
) -> Iterator[int]:
    """Decode a video once, and write a JPEG of each frame to look at.

    Args:
        source: The video; its length is known afterwards.
        folder: For ``pictures/00000.jpg``, ...
        limits: What is more is refused as soon as it is seen.

    Yields:
        Number of frames so far.

    Raises:
        ValueError: It is damaged, or has too many or too large frames.
    """
    count = 0
    for frame in source:
        height, width = frame.image.shape[:2]
        if height * width > limits.pixels:
            raise ValueError(
                f'{source.name} has frames of {width}x{height} pixels; at '
                f'most {limits.pixels / 1e6:.1f} million pixels are taken, '
                'make it smaller first'
            )
        count = frame.index + 1
        if count > limits.frames:
            raise ValueError(
                f'{source.name} has more than {limits.frames} frames; cut '
                'out the part that matters first'
            )
        path = Path(folder) / f'pictures/{frame.index:05d}.jpg'
        write_picture(path, mmcv.bgr2rgb(frame.image), quality=90)
        yield count
    source.length = count


def _open_video(path: Path) -> FrameSource:
    with open(path, 'rb') as file:
        head = file.read(16)
    known = any(
        head[at : at + len(tag)] == tag
        for tags in _CONTAINERS.values()
        for at, tag in tags
    )
    if not known:
        raise ValueError(
            f'{path.name} is no video; expected {", ".join(_CONTAINERS)}, or '
            'a folder of images'
        )
    return open_frames(path)


def _move_images(images: List[Path], folder: Path) -> Path:
    names = [path.name for path in images]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f'two images are named {twice[0]}; expected one folder, without '
            'those below it'
        )
    for path in images:
        _moved(path, folder)
    return folder


def _moved(path: Path, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.move(str(path), str(folder / path.name))
    # Each upload came in a folder of its own.
    if not any(path.parent.iterdir()):
        os.rmdir(path.parent)
    return folder / path.name


def _called(paths: List[Path]) -> str:
    return paths[0].name if len(paths) == 1 else f'a set of {len(paths)} files'
