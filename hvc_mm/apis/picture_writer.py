"""Pictures into a video or a folder, one at a time.

H, W: height and width of a picture in pixels.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, Optional, Tuple, Union

import cv2
import mmcv
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
_H264_SUFFIXES = ('.mp4', '.mov', '.mkv')


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

    def __init__(self, out: Union[str, Path], fps: float = 25.0) -> None:
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
                begin = _H264 if self.codec == 'h264' else _opencv_writer
                size = picture.shape[1::-1]
                self._video = begin(self.out, self.codec, self.fps, size)
            self._video.write(mmcv.rgb2bgr(picture))
        self.count += 1

    def close(self) -> None:
        """Finish a video."""
        if self._video is not None:
            self._video.release()
            self._video = None

    def __enter__(self) -> PictureWriter:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def _opencv_writer(
    path: Path, codec: str, fps: float, size: Tuple[int, int]
) -> cv2.VideoWriter:
    # OpenCV reports a folder without write permission on stderr only.
    with open(path, 'wb'):
        pass
    code = cv2.VideoWriter_fourcc(*codec)
    writer = cv2.VideoWriter(str(path), code, fps, size)
    if not writer.isOpened():
        raise OSError(
            f'OpenCV cannot write {path} with codec {codec} at '
            f'{size[0]}x{size[1]}; pip install av for H.264'
        )
    return writer


class _H264:
    """PyAV's encoder, with the methods of `cv2.VideoWriter`."""

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
        frame = av.VideoFrame.from_ndarray(picture, format='bgr24')
        self.container.mux(self.stream.encode(frame))

    def release(self) -> None:
        self.container.mux(self.stream.encode(None))
        self.container.close()
