"""Pictures as they come: into a video, or into a folder of images."""

from __future__ import annotations

from pathlib import Path
from typing import Union

import mmcv
import numpy as np

from .video_writer import VIDEO_SUFFIXES, VideoWriter


class PictureWriter:
    """Write pictures one after the other; use it in a ``with`` statement.

    Args:
        out: A video file (its suffix tells), or a folder.
        fps: Frames per second of a video.
        suffix: Of the images in a folder.
    """

    def __init__(
        self, out: Union[str, Path], fps: float = 25.0, suffix: str = '.jpg'
    ) -> None:
        self.out = Path(out)
        self.suffix = suffix
        self.video = None
        if self.out.suffix.lower() in VIDEO_SUFFIXES:
            self.video = VideoWriter(self.out, fps)
        elif self.out.is_file():
            raise ValueError(
                f'{out} is a file, and not named as a video; expected '
                f'a folder, or a file that ends in {", ".join(VIDEO_SUFFIXES)}'
            )

    def write(self, picture: np.ndarray, name: str) -> None:
        """Append a picture.

        Args:
            picture: RGB, uint8 ``(H, W, 3)``.
            name: Its file's stem in a folder.
        """
        if self.video is not None:
            self.video.write(picture)
            return
        path = self.out / f'{name}{self.suffix}'
        # mmcv makes the folder.
        mmcv.imwrite(mmcv.rgb2bgr(picture), str(path))

    def __enter__(self) -> PictureWriter:
        return self

    def __exit__(self, *_) -> None:
        if self.video is not None:
            self.video.close()
