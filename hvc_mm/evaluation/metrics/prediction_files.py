"""The masks that a metric writes, and their zip for a challenge server.

Layouts of zips: DAVIS ``<video>/<frame>.png``; YouTube-VOS the same below
a folder ``Annotations``.
"""

from __future__ import annotations

import io
import zipfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np
from mmengine.logging import print_log
from PIL import Image

from hvc_mm.datasets.id_masks import davis_palette, save_id_mask
from hvc_mm.utils.files import remove_abandoned
from hvc_mm.utils.outputs import claim_file, claim_folder, listed_file

from .background import BackgroundJobs

# Two threads that write keep up with the network; more masks than eight
# would only take memory while a disk stalls.
_WRITERS, _WRITE_QUEUE = 2, 8

RESULTS = ('results.json', 'results.csv')


class WrittenMask(NamedTuple):
    """A mask that was written, and belongs in the zip.

    Attributes:
        video: Name of its video.
        frame_name: Name of the frame, without suffix.
        shape: ``(H, W)`` in pixels.
    """

    video: str
    frame_name: str
    shape: Tuple[int, int]


class PredictionFiles:
    """Write predictions in the background, at last the zip.

    Args:
        out_dir: Their folder; None writes nothing.
        zip_path: The zip, or None.
        zip_root: Folder inside the zip that has the videos' folders.
        force: See `claim_folder` and `claim_file`.

    Attributes:
        written: What was written so far, for the zip.

    Raises:
        ValueError: A zip without ``out_dir``.
    """

    def __init__(
        self,
        out_dir: Optional[str],
        zip_path: Optional[str],
        zip_root: str,
        force: bool = False,
    ) -> None:
        if zip_path and out_dir is None:
            raise ValueError(
                'zip_path needs out_dir, the folder that predictions are '
                'written to'
            )
        self.out_dir = None if out_dir is None else Path(out_dir)
        self.zip_path = zip_path
        self.zip_root = zip_root
        self.force = force
        self.written: List[WrittenMask] = []
        self._jobs = BackgroundJobs(
            partial(ThreadPoolExecutor, _WRITERS, 'mask_writer'),
            _WRITE_QUEUE,
            lambda mask, _: self.written.append(mask),
        )

    def claim(self, results_dir: Optional[Path]) -> None:
        """Make ready what a run writes, its results among it.

        Raises:
            OSError: See `claim_folder` and `claim_file`.
        """
        if self.zip_path is not None:
            claim_file(self.zip_path, self.force)
        for name in RESULTS if results_dir else ():
            claim_file(results_dir / name, self.force)
        if self.out_dir is not None:
            claim_folder(self.out_dir, self.force)
        if results_dir:
            remove_abandoned(results_dir)

    def write_mask(self, video: str, name: str, ids: np.ndarray) -> None:
        """Write ``<out_dir>/<video>/<name>.png`` of ids ``(H, W)`` uint8."""
        if self.out_dir is not None:
            path = self.out_dir / video / f'{name}.png'
            mask = WrittenMask(video, name, ids.shape)
            self._jobs.submit(mask, self._write_mask, path, ids)

    def write_array(self, video: str, array: np.ndarray) -> None:
        """Write ``<out_dir>/<video>.npy``."""
        if self.out_dir is not None:
            # By way of memory: into a file, numpy writes half an array to a
            # full disk without a word.
            content = io.BytesIO()
            np.save(content, array)
            path = self.out_dir / f'{video}.npy'
            with listed_file(path, self.out_dir) as partial_array:
                partial_array.write_bytes(content.getvalue())

    def _write_mask(self, path: Path, ids: np.ndarray) -> None:
        with listed_file(path, self.out_dir) as partial_mask:
            save_id_mask(partial_mask, ids)

    def finish(self) -> None:
        """Wait until everything is written."""
        try:
            self._jobs.drain()
        finally:
            self.close()

    def close(self) -> None:
        """Drop what waits to be written; end what is being written."""
        self._jobs.close()

    def pack(self, masks: Sequence[WrittenMask]) -> None:
        """Write the zip, if one is asked for, and log where files are."""
        if self.out_dir is not None:
            print_log(f'predictions are in {self.out_dir}', 'current')
        if self.zip_path is not None:
            write_zip(self.zip_path, self.out_dir, masks, self.zip_root)
            message = f'{len(masks)} masks packed in {self.zip_path}'
            print_log(message, 'current')


def write_zip(
    zip_path: Union[str, Path],
    masks_dir: Union[str, Path],
    masks: Sequence[WrittenMask],
    root: str = '',
) -> None:
    """Pack masks, then read the zip back and check it.

    Args:
        zip_path: The zip to write or replace; folders are made.
        masks_dir: Where ``<video>/<frame_name>.png`` are. Other files there
            stay out.
        masks: What belongs in the zip.
        root: Folder inside the zip, e.g. ``Annotations``.

    Raises:
        ValueError: There is nothing to pack, a mask is given twice, or the
            zip isn't as it must be (see `check_zip`).
        FileNotFoundError: A mask is missing.
    """
    if not masks:
        raise ValueError(f'no mask to pack in {zip_path}')
    with listed_file(zip_path) as partial_zip:
        # PNGs are compressed already.
        with zipfile.ZipFile(partial_zip, 'w') as archive:
            for mask in sorted(masks):
                name = _entry(mask, '')
                archive.write(Path(masks_dir) / name, _entry(mask, root))
        check_zip(partial_zip, masks, root)


def check_zip(
    zip_path: Union[str, Path], masks: Sequence[WrittenMask], root: str = ''
) -> None:
    """Check that a zip holds the given masks and no others, all in order.

    Raises:
        ValueError: A mask is missing, too many or there twice, is no
            palette PNG with DAVIS's palette, has another size, or the zip is
            damaged.
    """
    wanted = {_entry(mask, root): mask.shape for mask in masks}
    if len(wanted) != len(masks):
        raise ValueError(f'{zip_path}: a frame was given twice')
    with zipfile.ZipFile(zip_path) as archive:
        found = archive.namelist()
        missing = sorted(set(wanted) - set(found))
        extra = sorted(set(found) - set(wanted))
        if missing or extra or len(found) != len(wanted):
            raise ValueError(
                f'{zip_path} holds {len(found)} entries, expected '
                f'{len(wanted)}; missing: {missing[:3]}, extra: {extra[:3]}'
            )
        damaged = archive.testzip()
        if damaged:
            raise ValueError(f'{zip_path}: {damaged} is damaged')
        for name, shape in wanted.items():
            with Image.open(io.BytesIO(archive.read(name))) as image:
                _check_mask(image, shape, f'{zip_path}: {name}')


def _check_mask(image: Image.Image, shape: Tuple[int, int], name: str) -> None:
    colours = image.getpalette() or []
    if image.mode != 'P' or colours != davis_palette().ravel().tolist():
        raise ValueError(
            f"{name} has no palette, or not DAVIS's (mode {image.mode})"
        )
    if image.size != shape[::-1]:
        raise ValueError(
            f'{name} is {image.size[1]} x {image.size[0]}, its frame '
            f'{shape[0]} x {shape[1]}'
        )


def _entry(mask: WrittenMask, root: str) -> str:
    name = f'{mask.video}/{mask.frame_name}.png'
    return f'{root}/{name}' if root else name
