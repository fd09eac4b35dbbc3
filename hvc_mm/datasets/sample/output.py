"""Writing a sample into a folder without harming what else is there."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Union

import cv2
import numpy as np

from ..image_io import write_id_mask

MANIFEST = 'sample.json'


@dataclass(frozen=True)
class SampleSpec:
    """What all layouts of one sample have in common.

    Attributes:
        seed: Of every random choice, not negative.
        videos: Videos per benchmark, at least 1.
        frames: Frames per video, at least 1.
        size: (H, W) of the frames, each at least 48.
        images: Still images for pre-training, at least 1.

    Raises:
        ValueError: Something is out of its range.
    """

    seed: int = 0
    videos: int = 4
    frames: int = 30
    size: tuple[int, int] = (240, 432)
    images: int = 200

    def __post_init__(self) -> None:
        for name, least in (
            ('seed', 0),
            ('videos', 1),
            ('frames', 1),
            ('images', 1),
        ):
            if getattr(self, name) < least:
                raise ValueError(
                    f'{name} is {getattr(self, name)}; expected {least} or '
                    'more'
                )
        if len(self.size) != 2 or min(self.size) < 48:
            raise ValueError(
                f'size is {self.size}; expected height and width of 48 or more'
            )


class SampleFolder:
    """The folder that samples go to; a context manager.

    It keeps a list of what it wrote (`sample.json`). Only files on that
    list are ever replaced or removed.

    Args:
        root: The folder; made if missing.
        force: Accept a folder that is not empty: an earlier sample in it is
            replaced, layout by layout, other files stay.

    Raises:
        NotADirectoryError: ``root`` is a file.
        FileExistsError: ``root`` holds something, and not ``force``.
        ValueError: The list of an earlier sample can't be read.
    """

    def __init__(self, root: Union[str, Path], force: bool = False) -> None:
        self.root = Path(root)
        if self.root.exists() and not self.root.is_dir():
            raise NotADirectoryError(
                f'{self.root} is a file; expected a folder to write to'
            )
        found = sorted(self.root.iterdir()) if self.root.exists() else []
        if found and not force:
            raise FileExistsError(
                f'{self.root} is not empty (it holds {found[0].name}'
                f'{" and others" if len(found) > 1 else ""}); give an empty '
                'folder, or --force to write beside what is there'
            )
        self._listed = self._read_manifest()
        self._layout = ''
        self.written: dict[str, dict[str, int]] = {}
        self.counts: Counter = Counter()

    def __enter__(self) -> SampleFolder:
        return self

    def __exit__(self, *_) -> None:
        """Write the list, also after an error: what is here is ours."""
        if not self.written:
            return
        listed = {k: set(v) for k, v in self._listed.items()}
        for layout, files in self.written.items():
            listed[layout] = listed.get(layout, set()) | set(files)
        listed = {
            layout: sorted(f for f in files if (self.root / f).exists())
            for layout, files in listed.items()
        }
        text = json.dumps({'layouts': listed}, indent=1)
        (self.root / MANIFEST).write_text(text + '\n')

    def _read_manifest(self) -> dict[str, list[str]]:
        path = self.root / MANIFEST
        if not path.exists():
            return {}
        try:
            return json.loads(path.read_text())['layouts']
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f'{path} is no list of an earlier sample ({error!r}); move '
                'it away'
            ) from error

    def begin(self, layout: str) -> None:
        """What is written from now on belongs to ``layout``."""
        self._layout = layout
        self.written[layout] = {}
        self.counts = Counter()

    def finish(self) -> tuple[Counter, int]:
        """Remove what an earlier sample of this layout had beyond this one.

        Returns:
            tuple: What was counted, and the bytes written.
        """
        now = self.written[self._layout]
        kept = {f for files in self.written.values() for f in files}
        for name in set(self._listed.get(self._layout, ())) - kept:
            stale = self.root / name
            stale.unlink(missing_ok=True)
            for folder in stale.relative_to(self.root).parents[:-1]:
                folder = self.root / folder
                if folder.is_dir() and not any(folder.iterdir()):
                    folder.rmdir()
        return self.counts, sum(now.values())

    def _claim(self, name: str) -> Path:
        """The path of a file to be written, unless it is someone else's."""
        name = str(PurePosixPath(name))
        path = self.root / name
        ours = any(name in files for files in self._listed.values()) or any(
            name in files for files in self.written.values()
        )
        if path.exists() and not ours:
            raise FileExistsError(
                f'{path} exists and is not of an earlier sample; move it, or '
                'write to another folder'
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        self.written[self._layout][name] = 0
        return path

    def _note(self, path: Path) -> None:
        name = path.relative_to(self.root).as_posix()
        self.written[self._layout][name] = path.stat().st_size

    def write_bytes(self, name: str, content: bytes) -> None:
        """Write a file; ``name`` is its path inside the folder."""
        path = self._claim(name)
        path.write_bytes(content)
        self._note(path)

    def write_text(self, name: str, text: str) -> None:
        """Write a text file in UTF-8 with plain line ends."""
        self.write_bytes(name, text.encode())

    def write_image(self, name: str, image: np.ndarray) -> None:
        """Write ``(H, W, 3)`` uint8 BGR; the name's ending is the format."""
        ending = PurePosixPath(name).suffix
        flags = [cv2.IMWRITE_JPEG_QUALITY, 95] if ending == '.jpg' else []
        done, content = cv2.imencode(ending, image, flags)
        if not done:
            raise ValueError(f'OpenCV could not encode {name}')
        self.write_bytes(name, content.tobytes())

    def write_ids(self, name: str, ids: np.ndarray) -> None:
        """Write ``(H, W)`` uint8 ids as a palette PNG."""
        path = self._claim(name)
        write_id_mask(path, ids)
        self._note(path)
