"""Frames of videos, folders and arrays, one at a time, and their progress.

Only the current frame is kept, so an hour of video needs no more memory than
a second. H, W: height and width of a frame in pixels.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    TypeVar,
    Union,
)

import cv2
import mmcv
import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import (
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
)
from rich.text import Text
from torch import Tensor

from hvc_mm.datasets import IMAGE_SUFFIXES, list_frames, read_image

T = TypeVar('T')
PathLike = Union[str, Path]
# Containers that store how many frames there are; others a duration.
_COUNTING_SUFFIXES = ('.mp4', '.m4v', '.mov', '.avi')
# Name, image, and path of each frame.
Reading = Iterator[Tuple[str, Any, Optional[str]]]


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


class FrameSource:
    """Read a video from its beginning, once or several times.

    Args:
        read: Begins to read; yields name, image and path of each frame.
        name: What results are called after.
        length: Number of frames; None where nobody knows.
        fps: Frames per second; None for anything but a video file.
        count: Counts the frames, where ``length`` is only the estimate that
            a container gives.
        inputs: The files and folders that are read, as far as they are known
            before.
    """

    def __init__(
        self,
        read: Callable[[], Reading],
        name: str = 'video',
        length: Optional[int] = None,
        fps: Optional[float] = None,
        count: Optional[Callable[[], int]] = None,
        inputs: Sequence[PathLike] = (),
    ) -> None:
        self.name = name
        self.length = length
        self.fps = fps
        self.inputs = list(inputs)
        self._read = read
        self._count = count

    def has_frame(self, index: int) -> Optional[bool]:
        """Return whether a frame exists; None if only reading can tell.

        A container's estimate is believed when it confirms the frame, and
        checked by decoding the whole video when it denies it.
        """
        if self.length is None:
            return None
        if index >= self.length and self._count is not None:
            self.length, self._count = self._count(), None
        return index < self.length

    def __iter__(self) -> Iterator[Frame]:
        """Read the frames.

        Raises:
            ValueError: There is no frame, one is no image, or has another
                size than the first one.
        """
        size = None
        for index, (name, image, path) in enumerate(self._read()):
            where = path or f'frame {index} of {self.name}'
            _check_image(image, where)
            size = size or image.shape[:2]
            if image.shape[:2] != size:
                raise ValueError(
                    f'{where} has {image.shape[1]}x{image.shape[0]} pixels; '
                    f'expected {size[1]}x{size[0]} as in the first frame'
                )
            yield Frame(index, name, image, path)
        if size is None:
            raise ValueError(
                f'{self.name}: expected at least one frame, found none'
            )


def _check_image(image: Any, where: str) -> None:
    found = type(image).__name__
    if isinstance(image, np.ndarray):
        if image.dtype == np.uint8 and image.shape[2:] == (3,):
            return
        found = f'{image.dtype} {image.shape}'
    raise ValueError(
        f'{where} is {found}; expected an (H, W, 3) uint8 array, BGR'
    )


def open_frames(source: Union[PathLike, Iterable, FrameSource]) -> FrameSource:
    """Open whatever holds a video's frames; nothing is read yet.

    Args:
        source: A video file or URL that OpenCV's FFmpeg reads, a folder of
            images (numbers in names count as numbers), or an iterable of
            frames: image files, ``(H, W, 3)`` uint8 arrays, which are BGR as
            OpenCV's, pictures of Pillow, or ``(3, H, W)`` uint8 tensors,
            which are RGB as torchvision's. A generator is read once.

    Raises:
        FileNotFoundError: No such file or folder.
        ValueError: It can't be read, or holds no frame.
        TypeError: Nothing that frames could come from.
    """
    if isinstance(source, FrameSource):
        return source
    if isinstance(source, (str, Path)):
        if Path(source).is_dir():
            files = list_frames(str(source))
            return FrameSource(
                lambda: _read_items(files),
                name=Path(source).resolve().name,
                length=len(files),
                inputs=[source, *files],
            )
        if Path(source).suffix.lower() in IMAGE_SUFFIXES:
            raise ValueError(
                f'{source} is named as a single image; expected a video '
                'file, a folder of images, or a list of frames'
            )
        return _VideoFile(str(source))
    if isinstance(source, np.ndarray) and source.ndim != 4:
        raise ValueError(
            f'an array of frames must be (T, H, W, 3), not {source.shape}'
        )
    if not hasattr(source, '__iter__') or isinstance(source, (bytes, dict)):
        raise TypeError(
            'expected a video file, a folder of images, or an iterable of '
            f'frames, not {type(source).__name__}'
        )
    length = len(source) if hasattr(source, '__len__') else None
    if length == 0:
        raise ValueError('expected at least one frame, found none')
    inputs = []
    if isinstance(source, (list, tuple)):
        inputs = [path for path in source if isinstance(path, (str, Path))]
    return FrameSource(
        lambda: _read_items(source), length=length, inputs=inputs
    )


def _read_items(items: Iterable) -> Reading:
    """Read image files, and pass on arrays."""
    seen: Dict[str, str] = {}
    for index, item in enumerate(items):
        is_file = isinstance(item, (str, Path))
        name = Path(item).stem if is_file else f'{index:05d}'
        where = str(item) if is_file else f'frame {index}'
        if name in seen:
            raise ValueError(
                f'{where} and {seen[name]} are both named {name}, as their '
                'results would be; expected frames of different names'
            )
        seen[name] = where
        if is_file:
            yield name, read_image(item), where
        elif isinstance(item, Image.Image):
            yield name, mmcv.rgb2bgr(np.array(item.convert('RGB'))), None
        elif isinstance(item, Tensor) and item.shape[:-2] == (3,):
            image = item.permute(1, 2, 0).cpu().numpy()
            yield name, np.ascontiguousarray(image[..., ::-1]), None
        else:
            yield name, item, None


class _VideoFile(FrameSource):
    """Decode a video file's frames as they are asked for."""

    def __init__(self, path: str) -> None:
        self.path = path
        reader = _video_reader(path)
        super().__init__(
            self._decode,
            name=Path(path).stem,
            length=reader.frame_cnt if reader.frame_cnt > 0 else None,
            fps=reader.fps if reader.fps > 0 else None,
            count=self._count_frames,
            inputs=[path],
        )

    def _count_frames(self) -> int:
        decoder, number = _video_reader(self.path).vcap, 0
        while decoder.grab():
            number += 1
        return number

    def _decode(self) -> Reading:
        # The decoder itself: VideoReader's own reading seeks whenever the
        # container's clock disagrees with the count of frames, as it does
        # for videos of variable frame rate.
        decoder, number = _video_reader(self.path).vcap, 0
        first = last = 0.0
        success, image = decoder.read()
        while success:
            yield f'{number:05d}', image, None
            last = decoder.get(cv2.CAP_PROP_POS_MSEC)
            first = first if number else last
            number += 1
            success, image = decoder.read()
        if number == 0:
            raise ValueError(
                f'cannot read the video {self.path}: not one frame could be '
                'decoded'
            )
        # Estimates are off by one where a container rounds its duration.
        if self.length and number < self.length - 1:
            self._check_end(decoder, number, last - first)

    def _check_end(
        self, decoder: cv2.VideoCapture, number: int, span: float
    ) -> None:
        """Tell whether a video with fewer frames than expected is damaged.

        Most containers only have a duration, and their number of frames is
        an estimate from it, far off where the frame rate varies. So what
        counts is the ``span`` of its frames in ms.
        """
        end = 1000 * (self.length - 2) / (self.fps or 1)
        for _ in range(self.length - number):
            if decoder.grab() and decoder.get(cv2.CAP_PROP_POS_MSEC) >= end:
                raise ValueError(
                    f'the video {self.path} is damaged: frame {number} cannot '
                    'be decoded, but frames after it can'
                )
        exact = Path(self.path).suffix.lower() in _COUNTING_SUFFIXES
        if exact or span < end:
            warnings.warn(
                f'the video {self.path} ended after {number} of '
                f'{self.length} frames; it may be cut off or damaged',
                stacklevel=3,
            )


def _video_reader(path: str) -> mmcv.VideoReader:
    if '://' not in path and not Path(path).is_file():
        raise FileNotFoundError(f'no video {path}')
    reader = mmcv.VideoReader(path)
    if not reader.opened:
        raise ValueError(
            f'cannot read the video {path}: it is empty, cut off, or in an '
            'unknown format; expected a video file (mp4, avi, mov, mkv, webm)'
        )
    return reader


class _FrameRateColumn(ProgressColumn):
    """Show frames per second; before the first two frames there are none."""

    def render(self, task: Task) -> Text:
        """Write a task's rate."""
        rate = task.finished_speed or task.speed
        return Text('- frames/s' if rate is None else f'{rate:.1f} frames/s')


def track_frames(
    frames: Iterable[T],
    total: Optional[int] = None,
    description: str = 'Frames',
    show: bool = True,
    console: Optional[Console] = None,
) -> Iterator[T]:
    """Yield frames, and show a bar with their rate and the time left.

    Args:
        frames: Whatever is counted.
        total: How many there will be; None where nobody knows.
        description: Written before the bar.
        show: False shows nothing.
        console: By default standard error, so that output can be piped.
    """
    progress = Progress(
        *Progress.get_default_columns(),
        MofNCompleteColumn(),
        _FrameRateColumn(),
        console=console or Console(stderr=True),
        disable=not show,
    )
    with progress:
        yield from progress.track(frames, total=total, description=description)
