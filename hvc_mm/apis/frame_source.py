"""Frames of a video, one at a time: from files, folders or memory.

H, W: height and width of a frame in pixels. Only the frame at hand is kept,
so an hour of video needs no more memory than a second.
"""

from __future__ import annotations

import re
import warnings
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Iterable, Iterator, NamedTuple, Optional, Tuple, Union

import mmcv
import numpy as np

from hvc_mm.datasets.image_io import IMAGE_SUFFIXES, read_image

PathLike = Union[str, Path]


class Frame(NamedTuple):
    """One frame.

    Attributes:
        index: From 0.
        name: The file's stem, or the index with five digits.
        image: ``(H, W, 3)`` uint8, BGR.
        path: Its file, None where it has none of its own.
    """

    index: int
    name: str
    image: np.ndarray
    path: Optional[str] = None


class FrameSource(ABC):
    """A video to be read once from its beginning, or several times.

    Attributes:
        name: What results are called after.
        length: Number of frames; None where nobody knows.
        exact_length: False for the estimate that a container gives.
        fps: Frames per second; None for anything but a video file.
    """

    name = 'video'
    length: Optional[int] = None
    exact_length = True
    fps: Optional[float] = None

    @abstractmethod
    def _read(self) -> Iterator[Tuple[str, Any, Optional[str]]]:
        """Yield name, image and path of each frame."""

    def __iter__(self) -> Iterator[Frame]:
        """Read the frames.

        Raises:
            ValueError: A frame is no image, or has another size than the
                first one.
        """
        size = None
        for index, (name, image, path) in enumerate(self._read()):
            where = path or f'frame {index} of {self.name}'
            image = _checked(image, where)
            if size is None:
                size = image.shape[:2]
            if image.shape[:2] != size:
                raise ValueError(
                    f'{where} has {image.shape[1]}x{image.shape[0]} pixels; '
                    f'expected {size[1]}x{size[0]} as in the first frame'
                )
            yield Frame(index, name, image, path)


class VideoFile(FrameSource):
    """A video file; frames are decoded as they are asked for.

    Args:
        path: mp4, avi, or whatever else OpenCV's FFmpeg reads; a URL too.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Not a single frame can be decoded.
    """

    exact_length = False

    def __init__(self, path: PathLike) -> None:
        self.path = str(path)
        self.name = Path(self.path).stem
        reader = self._open()
        self.fps = reader.fps if reader.fps > 0 else None
        self.length = reader.frame_cnt if reader.frame_cnt > 0 else None

    def _open(self) -> mmcv.VideoReader:
        if '://' not in self.path and not Path(self.path).is_file():
            raise FileNotFoundError(f'no video {self.path}')
        reader = mmcv.VideoReader(self.path)
        if not reader.opened:
            raise ValueError(
                f'cannot read the video {self.path}: it is empty, cut off, '
                'or in an unknown format; expected a video file (mp4, avi, '
                'mov, mkv, webm)'
            )
        return reader

    def _read(self) -> Iterator[Tuple[str, np.ndarray, None]]:
        # The decoder itself: VideoReader's own reading seeks whenever the
        # container's clock disagrees with the count of frames, as it does
        # for videos of variable frame rate.
        decoder = self._open().vcap
        count = 0
        while True:
            success, image = decoder.read()
            if not success:
                break
            yield f'{count:05d}', image, None
            count += 1
        if count == 0:
            raise ValueError(
                f'cannot read the video {self.path}: not one frame could be '
                'decoded'
            )
        if self.length and count < self.length - 1:
            warnings.warn(
                f'the video {self.path} ended after {count} of '
                f'{self.length} frames; it may be cut off',
                stacklevel=2,
            )


class ImageFolder(FrameSource):
    """A folder of images; numbers in names count as numbers.

    Args:
        path: The folder.

    Raises:
        FileNotFoundError: No such folder.
        ValueError: It holds no image.
    """

    def __init__(self, path: PathLike) -> None:
        folder = Path(path)
        if not folder.is_dir():
            raise FileNotFoundError(f'no folder of frames {path}')
        files = [
            file
            for file in folder.iterdir()
            # A copy from a Mac brings '._00000.jpg', which is no image.
            if file.suffix.lower() in IMAGE_SUFFIXES
            and not file.name.startswith('.')
        ]
        if not files:
            raise ValueError(
                f'no frame in {path}; expected files that end in '
                f'{", ".join(IMAGE_SUFFIXES)}'
            )
        self.files = sorted(files, key=lambda f: _natural(f.name))
        self.name = folder.resolve().name
        self.length = len(self.files)

    def _read(self) -> Iterator[Tuple[str, np.ndarray, str]]:
        for file in self.files:
            yield file.stem, read_image(file), str(file)


class FrameSequence(FrameSource):
    """Images in memory, or paths of them: any iterable.

    Args:
        frames: ``(H, W, 3)`` uint8 BGR arrays or image files. A generator
            is read once.
    """

    def __init__(self, frames: Iterable) -> None:
        self.frames = frames
        try:
            self.length = len(frames)
        except TypeError:
            self.length = None
        if self.length == 0:
            raise ValueError('expected at least one frame, found none')

    def _read(self) -> Iterator[Tuple[str, Any, Optional[str]]]:
        for index, frame in enumerate(self.frames):
            if isinstance(frame, (str, Path)):
                yield Path(frame).stem, read_image(frame), str(frame)
            else:
                yield f'{index:05d}', frame, None


def open_frames(source: Union[PathLike, Iterable, FrameSource]) -> FrameSource:
    """Open whatever holds a video's frames.

    Args:
        source: A video file, a folder of images, or an iterable of
            ``(H, W, 3)`` uint8 BGR arrays or image files.

    Returns:
        The frames, not read yet.

    Raises:
        FileNotFoundError: No such file or folder.
        ValueError: It can't be read, or holds no frame.
        TypeError: Nothing that frames could come from.
    """
    if isinstance(source, FrameSource):
        return source
    if isinstance(source, (str, Path)):
        if Path(source).is_dir():
            return ImageFolder(source)
        if Path(source).suffix.lower() in IMAGE_SUFFIXES:
            raise ValueError(
                f'{source} is named as a single image; expected a video '
                'file, a folder of images, or a list of frames'
            )
        return VideoFile(source)
    if isinstance(source, np.ndarray) and source.ndim != 4:
        raise ValueError(
            f'an array of frames must be (T, H, W, 3), not {source.shape}'
        )
    if not hasattr(source, '__iter__') or isinstance(source, (bytes, dict)):
        raise TypeError(
            'expected a video file, a folder of images, or an iterable of '
            f'frames, not {type(source).__name__}'
        )
    return FrameSequence(source)


def _checked(image: Any, where: str) -> np.ndarray:
    is_image = isinstance(image, np.ndarray) and image.dtype == np.uint8
    if not is_image or image.ndim != 3 or image.shape[2] != 3:
        found = (
            f'{image.dtype} {image.shape}'
            if isinstance(image, np.ndarray)
            else type(image).__name__
        )
        raise ValueError(
            f'{where} is {found}; expected an (H, W, 3) uint8 array, BGR'
        )
    return image


def _natural(name: str) -> list:
    # Text and numbers alternate in the split, so they never meet.
    return [
        int(part) if part.isdecimal() else part
        for part in re.split(r'(\d+)', name)
    ]
