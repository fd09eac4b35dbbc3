"""One video of an inferencer's call, and where its results go."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional, Union

from hvc_mm.utils.outputs import claim_folder

from .inference import Stream
from .picture_writer import PictureWriter
from .video_io import FrameSource


@dataclass
class VideoJob:
    """A video that waits to be segmented.

    Attributes:
        source: Its frames.
        stream: Of its frames and predictions.
        inputs: Files and folders that are read.
        pictures: Takes the pictures, where they are written.
        preds_dir: The folder of masks, where they are written.
    """

    source: FrameSource
    stream: Stream
    inputs: List[Union[str, Path]]
    pictures: Optional[PictureWriter] = None
    preds_dir: Optional[Path] = None

    def place(
        self,
        vis_dir: Optional[Path],
        preds_dir: Optional[Path],
        force: bool = False,
    ) -> None:
        """Say where all videos' results go; nothing is made yet.

        Args:
            vis_dir: Folder of a video of pictures, or of a folder of them
                where the source is no video; None for no pictures.
            preds_dir: Folder of a folder of masks; None for no masks.
            force: Write over other files there, too.
        """
        name, fps = self.source.name, self.source.fps
        if vis_dir is not None:
            out = vis_dir / (f'{name}.mp4' if fps else name)
            self.pictures = PictureWriter(out, fps or 25, force)
        if preds_dir is not None:
            self.preds_dir = preds_dir / name

    @property
    def outputs(self) -> List[Path]:
        """The files and folders that are written."""
        places = [self.pictures and self.pictures.out, self.preds_dir]
        return [place for place in places if place]

    def claim(self, force: bool = False) -> None:
        """Make the places ready for this video's results.

        Args:
            force: As for :meth:`place`.

        Raises:
            FileExistsError: A file that no earlier call wrote is there.
            OSError: It can't be written.
        """
        if self.pictures is not None:
            self.pictures.claim()
        if self.preds_dir is not None:
            claim_folder(self.preds_dir, force)
