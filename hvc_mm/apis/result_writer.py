"""What an inferencer leaves in its output folder."""

from __future__ import annotations

from pathlib import Path
from typing import Optional, Union

import numpy as np

from hvc_mm.datasets.image_io import write_id_mask

from .frame_source import Frame, FrameSource
from .picture_writer import PictureWriter


class ResultWriter:
    """Write pictures and masks of one video as they come.

    ``vis/<video>.mp4`` for a video file, ``vis/<video>/<frame>.jpg`` for
    other frames; ``preds/<video>/<frame>.png``, palette masks. Use it in a
    ``with`` statement.

    Args:
        out_dir: The folder; empty or None writes nothing.
        source: The video.
        save_vis: Write pictures.
        save_pred: Write masks.
    """

    def __init__(
        self,
        out_dir: Optional[Union[str, Path]],
        source: FrameSource,
        save_vis: bool = True,
        save_pred: bool = True,
    ) -> None:
        self.vis_path: Optional[Path] = None
        self.preds_dir: Optional[Path] = None
        self._pictures: Optional[PictureWriter] = None
        if out_dir and save_pred:
            self.preds_dir = Path(out_dir) / 'preds' / source.name
        if out_dir and save_vis:
            name = f'{source.name}.mp4' if source.fps else source.name
            self.vis_path = Path(out_dir) / 'vis' / name
            self._pictures = PictureWriter(self.vis_path, source.fps or 25)

    def write_picture(self, frame: Frame, picture: np.ndarray) -> None:
        """Append a picture, if pictures are written.

        Args:
            frame: Whose it is.
            picture: RGB, uint8 ``(H, W, 3)``.
        """
        if self._pictures is not None:
            self._pictures.write(picture, frame.name)

    def write_mask(self, frame: Frame, ids: np.ndarray) -> Optional[str]:
        """Write a palette mask.

        Args:
            frame: Whose it is.
            ids: uint8 ``(H, W)``.

        Returns:
            The file's path; None where masks aren't written.
        """
        if self.preds_dir is None:
            return None
        path = self.preds_dir / f'{frame.name}.png'
        write_id_mask(path, ids)
        return str(path)

    def __enter__(self) -> ResultWriter:
        return self

    def __exit__(self, *_) -> None:
        if self._pictures is not None:
            self._pictures.__exit__()
