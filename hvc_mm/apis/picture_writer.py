"""Pictures into a video or a folder, one at a time.

H, W: height and width of a picture in pixels.
"""

from __future__ import annotations

from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any, List, Optional, Tuple, Union

import cv2
import mmcv
import numpy as np
from PIL import Image

from hvc_mm.datasets import write_picture
from hvc_mm.utils.outputs import claim_file, claim_folder, listed_file

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
# Suffixes of all that plays, and what writes it.
_CODECS = {**_OPENCV_CODES, '.gif': 'gif'}
# Colours of a GIF (one of 256 means "as before"), and the change of a pixel
# that it doesn't show.
_COLORS, _UNSEEN = 255, 16
_H264_SUFFIXES = ('.mp4', '.mov', '.mkv')


class PictureWriter:
    """Write pictures as they come, into a video or a folder of JPEGs.

    Videos are H.264 in yuv420p where PyAV is installed (``pip install av``):
    every player and browser shows it. Without PyAV OpenCV writes MPEG-4 part
    2, which players show and browsers don't. The first picture sets the size,
    and of a GIF, which is for a few seconds, the colours.

    Use it in a ``with`` statement: a video appears under its name when it is
    closed, and holds every picture. That is so after an error or Ctrl-C as
    well, with what was written by then; a video that can't be written leaves
    none. What an earlier run wrote is replaced.

    Args:
        out: A video file (its suffix says so), or a folder.
        fps: Frames per second of a video.
        force: Write over other files, too; see `claim_file` and
            `claim_folder`.

    Attributes:
        codec: Of a video; None for a folder.
        count: Pictures so far.

    Raises:
        ValueError: A rate that is not > 0, or a file that is not named as a
            video.
    """

    def __init__(
        self, out: Union[str, Path], fps: float = 25.0, force: bool = False
    ) -> None:
        self.out = Path(out)
        suffix = self.out.suffix.lower()
        self.codec = _CODECS.get(suffix)
        if av is not None and suffix in _H264_SUFFIXES:
            self.codec = 'h264'
        if not fps > 0:
            raise ValueError(f'fps must be > 0, not {fps}')
        if self.codec is None and self.out.is_file():
            raise ValueError(
                f'{out} is a file, and not named as a video; expected a '
                f'folder, or a file that ends in {", ".join(_CODECS)}'
            )
        self.fps = float(fps)
        self.force = force
        self.count = 0
        self._claimed = False
        self._shape: Optional[tuple] = None
        self._video: Any = None
        self._file: Any = None
        self._partial: Optional[Path] = None

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
        self.claim()
        if self.codec is None:
            path = self.out / f'{name}.jpg'
            with listed_file(path, self.out) as partial:
                write_picture(partial, picture)
        else:
            self._append(picture)
        self.count += 1

    def close(self) -> None:
        """Finish a video, read it back, and give it its name.

        Raises:
            OSError: It doesn't hold every picture.
        """
        if self._video is None:
            return
        video, self._video = self._video, None
        with self._file:
            video.release()
            # A GIF shows two equal pictures as one; its errors are raised.
            found = self.count
            if self.codec != 'gif':
                found = _count_frames(self._partial)
            if found < self.count:
                raise OSError(
                    f'{self.out}: {self.count} frames were written, but '
                    f'{found} can be read back; is the disk full?'
                )

    def __enter__(self) -> PictureWriter:
        self.claim()
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def claim(self) -> None:
        """Make sure that the target can be written, and may be; the first
        picture does it at the latest.

        Raises:
            FileExistsError: There is something that no run wrote.
            OSError: It can't be written.
        """
        if not self._claimed:
            claim = claim_file if self.codec else claim_folder
            claim(self.out, self.force)
            self._claimed = True

    def _append(self, picture: np.ndarray) -> None:
        self._shape = self._shape or picture.shape
        if picture.shape != self._shape:
            raise ValueError(
                f'frame {self.count} of {self.out} has shape '
                f'{picture.shape}; expected {self._shape} as the first one'
            )
        odd = [(0, side % 2) for side in picture.shape[:2]]
        picture = np.pad(picture, (*odd, (0, 0)), mode='edge')
        if self._video is None:
            with ExitStack() as stack:
                self._partial = stack.enter_context(listed_file(self.out))
                self._video = self._begin_video(picture.shape[1::-1])
                self._file = stack.pop_all()  # until `close`
        self._video.write(mmcv.rgb2bgr(picture))

    def _begin_video(self, size: Tuple[int, int]) -> Any:
        if self.codec == 'h264':
            return _H264(self._partial, self.fps, size)
        if self.codec == 'gif':
            return _Gif(self._partial, self.fps)
        # OpenCV reports a folder without write permission on stderr only.
        self._partial.touch()
        code = cv2.VideoWriter_fourcc(*self.codec)
        video = cv2.VideoWriter(str(self._partial), code, self.fps, size)
        if not video.isOpened():
            raise OSError(
                f'OpenCV cannot write {self.out} with codec {self.codec} at '
                f'{size[0]}x{size[1]}; pip install av for H.264'
            )
        return video


def _count_frames(path: Path) -> int:
    reader, count = cv2.VideoCapture(str(path)), 0
    while reader.grab():
        count += 1
    return count


class _H264:
    """PyAV's encoder, with the methods of `cv2.VideoWriter`."""

    def __init__(self, path: Path, fps: float, size: Tuple[int, int]) -> None:
        # Players on the web start before they have the whole file.
        options = {'movflags': 'faststart'}
        self.container = av.open(str(path), 'w', options=options)
        rate = Fraction(fps).limit_denominator(1001)
        self.stream = self.container.add_stream('h264', rate=rate)
        self.stream.width, self.stream.height = size
        self.stream.pix_fmt = 'yuv420p'
        self.stream.options = {'crf': '20', 'preset': 'veryfast'}
        self.failed = False

    def write(self, picture: np.ndarray) -> None:
        """Append a picture, BGR uint8 ``(H, W, 3)``."""
        frame = av.VideoFrame.from_ndarray(picture, format='bgr24')
        try:
            self.container.mux(self.stream.encode(frame))
        except OSError:
            self.failed = True
            raise

    def release(self) -> None:
        """Write what the encoder holds back, and close the file."""
        # PyAV crashes when it goes on after a failure.
        if not self.failed:
            self.container.mux(self.stream.encode(None))
        self.container.close()


class _Gif:
    """Pillow's GIF, with the methods of `cv2.VideoWriter`.

    All pictures have the colours of the first one, and what hardly changes
    stays as it is: the file has a third of the bytes. It is held in memory,
    a byte a pixel.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self.path = path
        # In steps of 10 ms; browsers don't show pictures for less than 20.
        self.milliseconds = max(2, round(100 / fps)) * 10
        self.pictures: List[Image.Image] = []
        self._shown: Optional[np.ndarray] = None

    def write(self, picture: np.ndarray) -> None:
        """Append a picture, BGR uint8 ``(H, W, 3)``."""
        if self._shown is not None:
            change = cv2.absdiff(picture, self._shown).max(2, keepdims=True)
            picture = np.where(change < _UNSEEN, self._shown, picture)
        self._shown = picture
        image = Image.fromarray(mmcv.bgr2rgb(picture))
        first = self.pictures[0] if self.pictures else image.quantize(_COLORS)
        image = image.quantize(palette=first, dither=Image.Dither.NONE)
        self.pictures.append(image)

    def release(self) -> None:
        """Write the file; it plays again and again."""
        first, *others = self.pictures
        first.save(
            self.path,
            'GIF',
            save_all=True,
            append_images=others,
            duration=self.milliseconds,
            loop=0,
        )
