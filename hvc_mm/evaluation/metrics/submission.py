"""The zip that a challenge server takes, checked by reading it back.

Layouts: DAVIS ``<video>/<frame>.png``; YouTube-VOS the same below
a folder ``Annotations``.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import NamedTuple, Sequence, Tuple, Union

from PIL import Image

from hvc_mm.datasets.image_io import davis_palette
from hvc_mm.utils.files import whole_file


class SubmissionFrame(NamedTuple):
    """A mask that belongs in the zip.

    Attributes:
        video: Name of its video.
        frame_name: Name of the frame, without suffix.
        shape: ``(H, W)`` in pixels.
    """

    video: str
    frame_name: str
    shape: Tuple[int, int]


def write_submission_zip(
    zip_path: Union[str, Path],
    masks_dir: Union[str, Path],
    frames: Sequence[SubmissionFrame],
    root: str = '',
) -> None:
    """Pack masks, then read the zip back and check it.

    Args:
        zip_path: The zip to write; folders are made.
        masks_dir: Where ``<video>/<frame_name>.png`` are. Other files there
            stay out.
        frames: What belongs in the zip.
        root: Folder inside the zip, e.g. ``Annotations``.

    Raises:
        FileExistsError: The zip is there already.
        ValueError: There is nothing to pack, a frame is given twice, or the
            zip isn't as it must be (see `check_submission_zip`).
        FileNotFoundError: A mask is missing.
    """
    zip_path, masks_dir = Path(zip_path), Path(masks_dir)
    if zip_path.exists():
        raise FileExistsError(f'{zip_path} exists already')
    if not frames:
        raise ValueError(f'no mask to pack in {zip_path}')
    with whole_file(zip_path) as partial:
        # PNGs are compressed already.
        with zipfile.ZipFile(partial, 'w', zipfile.ZIP_STORED) as archive:
            for frame in sorted(frames):
                source = masks_dir / frame.video / f'{frame.frame_name}.png'
                archive.write(source, _entry(frame, root))
        check_submission_zip(partial, frames, root)


def check_submission_zip(
    zip_path: Union[str, Path],
    frames: Sequence[SubmissionFrame],
    root: str = '',
) -> None:
    """Check that a zip holds the given masks and no others, all in order.

    Args:
        zip_path: The zip.
        frames: What it must hold, no more and no less.
        root: Folder inside the zip.

    Raises:
        ValueError: A frame is missing, too many or there twice, is no
            palette PNG with DAVIS's palette, has another size, or the zip is
            damaged.
    """
    wanted = {_entry(frame, root): frame.shape for frame in frames}
    if len(wanted) != len(frames):
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


def _entry(frame: SubmissionFrame, root: str) -> str:
    name = f'{frame.video}/{frame.frame_name}.png'
    return f'{root}/{name}' if root else name
