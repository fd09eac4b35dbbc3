"""Writing a video that players open.

H.264 in yuv420p where PyAV is installed (``pip install av``): every player
and browser shows it. Without PyAV OpenCV writes MPEG-4 part 2, which players
show and browsers don't.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Optional, Union

import cv2
import numpy as np

try:
    import av
except ImportError:
    av = None

# What OpenCV's own FFmpeg can encode, by the file's suffix.
_OPENCV_CODES = {
    '.mp4': 'mp4v',
    '.mov': 'mp4v',
    '.mkv': 'mp4v',
    '.avi': 'MJPG',
    '.webm': 'VP90',
}
VIDEO_SUFFIXES = tuple(_OPENCV_CODES)
_H264_SUFFIXES = ('.mp4', '.mov', '.mkv')


class VideoWriter:
    """Write frames as they come; the first one sets the size.

    Use it in a ``with`` statement: a video that isn't closed can't be
    played. What was written before an error can be.

    Args:
        path: The file; its suffix (.mp4, .mov, .mkv, .avi, .webm) says which
            container and codec. Folders are made.
        fps: Frames per second, > 0.

    Raises:
        ValueError: Another suffix or rate.
    """

    def __init__(self, path: Union[str, Path], fps: float = 25.0) -> None:
        self.path = Path(path)
        suffix = self.path.suffix.lower()
        if suffix not in _OPENCV_CODES:
            raise ValueError(
                f'{path} has no suffix of a video; expected one of '
                f'{", ".join(_OPENCV_CODES)}'
            )
        if not fps > 0:
            raise ValueError(f'fps must be > 0, not {fps}')
        self.fps = float(fps)
        self.codec = _OPENCV_CODES[suffix]
        if av is not None and suffix in _H264_SUFFIXES:
            self.codec = 'h264'
        self.frames = 0
        self._shape: Optional[tuple] = None
        self._backend = None

    def write(self, image: np.ndarray) -> None:
        """Append a frame.

        Args:
            image: RGB, uint8 ``(H, W, 3)``, of the first one's size. An odd
                width or height is padded by one pixel, as codecs want it.

        Raises:
            ValueError: Another size.
            OSError: The file can't be written.
        """
        if self._backend is None:
            self._shape = image.shape
            self._open()
        if image.shape != self._shape:
            raise ValueError(
                f'frame {self.frames} of {self.path} has shape '
                f'{image.shape}; expected {self._shape} as the first one'
            )
        self._backend.write(_even(image))
        self.frames += 1

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        height, width = (side + side % 2 for side in self._shape[:2])
        kind = _H264 if self.codec == 'h264' else _OpenCV
        self._backend = kind(self.path, self.codec, self.fps, width, height)

    def close(self) -> None:
        """Finish the file."""
        if self._backend is not None:
            self._backend.close()
            self._backend = None

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, *_) -> None:
        self.close()


class _OpenCV:
    def __init__(self, path, codec, fps, width, height) -> None:
        # OpenCV reports a folder without write permission on stderr only.
        with open(path, 'wb'):
            pass
        code = cv2.VideoWriter_fourcc(*codec)
        self.writer = cv2.VideoWriter(str(path), code, fps, (width, height))
        if not self.writer.isOpened():
            raise OSError(
                f'OpenCV cannot write {path} with codec {codec} at '
                f'{width}x{height}; pip install av for H.264'
            )

    def write(self, image: np.ndarray) -> None:
        self.writer.write(image[..., ::-1])

    def close(self) -> None:
        self.writer.release()


class _H264:
    def __init__(self, path, codec, fps, width, height) -> None:
        # Players on the web start before they have the whole file.
        options = {'movflags': 'faststart'}
        self.container = av.open(str(path), 'w', options=options)
        rate = Fraction(fps).limit_denominator(1001)
        self.stream = self.container.add_stream(codec, rate=rate)
        self.stream.width, self.stream.height = width, height
        self.stream.pix_fmt = 'yuv420p'
        self.stream.options = {'crf': '20', 'preset': 'veryfast'}

    def write(self, image: np.ndarray) -> None:
        image = np.ascontiguousarray(image)
        frame = av.VideoFrame.from_ndarray(image, format='rgb24')
        self.container.mux(self.stream.encode(frame))

    def close(self) -> None:
        self.container.mux(self.stream.encode(None))
        self.container.close()


def _even(image: np.ndarray) -> np.ndarray:
    odd_rows, odd_columns = (side % 2 for side in image.shape[:2])
    if odd_rows or odd_columns:
        image = np.pad(
            image, ((0, odd_rows), (0, odd_columns), (0, 0)), mode='edge'
        )
    return image
