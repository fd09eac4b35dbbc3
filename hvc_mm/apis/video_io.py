"""Videos in and out, one frame at a time, and the progress between.

Frames come from files, folders or memory; pictures go into videos or folders.
Only the current frame is kept, so an hour of video needs no more memory than
a second. H, W: height and width of a frame in pixels.
"""

from __future__ import annotations

import re
import warnings
from fractions import Fraction
from pathlib import Path
from typing import (
    Any,
    Callable,
    Iterable,
    Iterator,
    NamedTuple,
    Optional,
    Tuple,
    TypeVar,
    Union,
)

import cv2
import mmcv
import numpy as np
from rich.console import Console
from rich.progress import (
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
)
from rich.text import Text

from hvc_mm.datasets import IMAGE_SUFFIXES, list_frames, read_image

try:
    import av
except ImportError:
    av = None

T = TypeVar('T')
PathLike = Union[str, Path]
# Name, image, and path of each frame.
Reading = Iterator[Tuple[str, Any, Optional[str]]]

# What OpenCV's own FFmpeg can encode, by the file's suffix.
_OPENCV_CODES = {
    '.mp4': 'mp4v',
    '.mov': 'mp4v',
    '.mkv': 'mp4v',
    '.avi': 'MJPG',
    '.webm': 'VP90',
}
_H264_SUFFIXES = ('.mp4', '.mov', '.mkv')


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
    """

    def __init__(
        self,
        read: Callable[[], Reading],
        name: str = 'video',
        length: Optional[int] = None,
        fps: Optional[float] = None,
        count: Optional[Callable[[], int]] = None,
    ) -> None:
        self.name = name
        self.length = length
        self.fps = fps
        self._read = read
        self._count = count

    def has_frame(self, index: int) -> Optional[bool]:
        """Return whether a frame exists; None if only reading can tell.

        A container's estimate is believed when it confirms the frame, and
        checked by decoding the whole video when it denies it.

        Args:
            index: Of the frame.
        """
        if self.length is None:
            return None
        if index >= self.length and self._count is not None:
            self.length, self._count = self._count(), None
        return index < self.length

    def __iter__(self) -> Iterator[Frame]:
        """Read the frames.

        Raises:
            ValueError: A frame is no image, or has another size than the
                first one.
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
    """Open whatever holds a video's frames.

    Args:
        source: A video file or URL that OpenCV's FFmpeg reads, a folder of
            images (numbers in names count as numbers), or an iterable of
            ``(H, W, 3)`` uint8 BGR arrays or image files; a generator is
            read once.

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
            files = sorted(list_frames(str(source)), key=_numbers_in)
            return FrameSource(
                lambda: _read_items(files),
                name=Path(source).resolve().name,
                length=len(files),
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
    return FrameSource(lambda: _read_items(source), length=length)


def _numbers_in(path: str) -> list:
    # Text and numbers alternate in the split, so they never meet.
    return [
        int(part) if part.isdecimal() else part
        for part in re.split(r'(\d+)', Path(path).name)
    ]


def _read_items(items: Iterable) -> Reading:
    """Read image files, and pass on arrays."""
    for index, item in enumerate(items):
        if isinstance(item, (str, Path)):
            yield Path(item).stem, read_image(item), str(item)
        else:
            yield f'{index:05d}', item, None


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
        success, image = decoder.read()
        while success:
            yield f'{number:05d}', image, None
            number += 1
            success, image = decoder.read()
        if number == 0:
            raise ValueError(
                f'cannot read the video {self.path}: not one frame could be '
                'decoded'
            )
        # Estimates are off by one where a container rounds its duration.
        if self.length and number < self.length - 1:
            warnings.warn(
                f'the video {self.path} ended after {number} of '
                f'{self.length} frames; it may be cut off',
                stacklevel=2,
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


class PictureWriter:
    """Write pictures as they come, into a video or a folder of JPEGs.

    Videos are H.264 in yuv420p where PyAV is installed (``pip install av``):
    every player and browser shows it. Without PyAV OpenCV writes MPEG-4 part
    2, which players show and browsers don't. The first picture sets the size.

    Use it in a ``with`` statement: a video that isn't closed can't be
    played. What was written before an error can be.

    Args:
        out: A video file (its suffix says so), or a folder.
        fps: Frames per second of a video.

    Attributes:
        codec: Of a video; None for a folder.

    Raises:
        ValueError: A rate that is not > 0, or a file that is not named as a
            video.
    """

    def __init__(self, out: PathLike, fps: float = 25.0) -> None:
        self.out = Path(out)
        suffix = self.out.suffix.lower()
        self.codec = _OPENCV_CODES.get(suffix)
        if av is not None and suffix in _H264_SUFFIXES:
            self.codec = 'h264'
        if not fps > 0:
            raise ValueError(f'fps must be > 0, not {fps}')
        if self.codec is None and self.out.is_file():
            raise ValueError(
                f'{out} is a file, and not named as a video; expected a '
                f'folder, or a file that ends in {", ".join(_OPENCV_CODES)}'
            )
        self.fps = float(fps)
        self.count = 0
        self._shape: Optional[tuple] = None
        self._video: Any = None

    def write(self, picture: np.ndarray, name: str = '') -> None:
        """Append a picture.

        Args:
            picture: RGB, uint8 ``(H, W, 3)``. In a video an odd width or
                height is padded by one pixel, as codecs want it.
            name: Its file's stem in a folder.

        Raises:
            ValueError: Another size than the video's first picture.
            OSError: The file can't be written.
        """
        if self.codec is None:
            path = self.out / f'{name}.jpg'
            mmcv.imwrite(mmcv.rgb2bgr(picture), str(path))
        else:
            self._shape = self._shape or picture.shape
            if picture.shape != self._shape:
                raise ValueError(
                    f'frame {self.count} of {self.out} has shape '
                    f'{picture.shape}; expected {self._shape} as the first one'
                )
            odd = [(0, side % 2) for side in picture.shape[:2]]
            picture = np.pad(picture, (*odd, (0, 0)), mode='edge')
            if self._video is None:
                self.out.parent.mkdir(parents=True, exist_ok=True)
                kind = _H264 if self.codec == 'h264' else _OpenCV
                size = picture.shape[1::-1]
                self._video = kind(self.out, self.codec, self.fps, size)
            self._video.write(picture)
        self.count += 1

    def close(self) -> None:
        """Finish a video."""
        if self._video is not None:
            self._video.close()
            self._video = None

    def __enter__(self) -> PictureWriter:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


class _OpenCV:
    def __init__(
        self, path: Path, codec: str, fps: float, size: Tuple[int, int]
    ) -> None:
        # OpenCV reports a folder without write permission on stderr only.
        with open(path, 'wb'):
            pass
        code = cv2.VideoWriter_fourcc(*codec)
        self.writer = cv2.VideoWriter(str(path), code, fps, size)
        if not self.writer.isOpened():
            raise OSError(
                f'OpenCV cannot write {path} with codec {codec} at '
                f'{size[0]}x{size[1]}; pip install av for H.264'
            )

    def write(self, picture: np.ndarray) -> None:
        self.writer.write(mmcv.rgb2bgr(picture))

    def close(self) -> None:
        self.writer.release()


class _H264:
    def __init__(
        self, path: Path, codec: str, fps: float, size: Tuple[int, int]
    ) -> None:
        # Players on the web start before they have the whole file.
        options = {'movflags': 'faststart'}
        self.container = av.open(str(path), 'w', options=options)
        rate = Fraction(fps).limit_denominator(1001)
        self.stream = self.container.add_stream(codec, rate=rate)
        self.stream.width, self.stream.height = size
        self.stream.pix_fmt = 'yuv420p'
        self.stream.options = {'crf': '20', 'preset': 'veryfast'}

    def write(self, picture: np.ndarray) -> None:
        frame = av.VideoFrame.from_ndarray(picture, format='rgb24')
        self.container.mux(self.stream.encode(frame))

    def close(self) -> None:
        self.container.mux(self.stream.encode(None))
        self.container.close()


class _FrameRateColumn(ProgressColumn):
    """Show frames per second over the last half minute."""

    def render(self, task: Task) -> Text:
        """Write a task's rate; before the first two frames there is none."""
        rate = task.finished_speed or task.speed
        return Text('- frames/s' if rate is None else f'{rate:.1f} frames/s')


def track_frames(
    frames: Iterable[T],
    total: Optional[int] = None,
    description: str = 'Frames',
    show: bool = True,
    console: Optional[Console] = None,
) -> Iterator[T]:
    """Show a bar with frames per second and the time left.

    Args:
        frames: Whatever is counted.
        total: How many there will be; None where nobody knows.
        description: Written before the bar.
        show: False shows nothing.
        console: Where to; standard error by default, so that output can be
            piped.

    Yields:
        The frames.
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
