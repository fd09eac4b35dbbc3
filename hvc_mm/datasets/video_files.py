"""Lists of videos, and the frames and masks of one video.

A frame is named by its *stem*: its file's name without folder and suffix.
"""

from __future__ import annotations

import io
import os.path as osp
from typing import Dict, List, Tuple

from hvc_mm.utils.files import read_text

from .image_io import IMAGE_SUFFIXES, list_images


def check_folder(path: str, what: str) -> None:
    """Raise FileNotFoundError for a missing folder; ``what`` is in it."""
    if not osp.isdir(path):
        raise FileNotFoundError(
            f'no folder {path}; expected {what}. The data root is set by the '
            'environment variable HVC_DATA_ROOT or by '
            '--cfg-options data_root=...'
        )


def check_name(name: str, where: str) -> str:
    """Return a name of a list, made sure that it stays below its folder.

    Results are written under these names: one that leads elsewhere would
    write there.

    Args:
        name: Of a video or an image; it may have folders.
        where: The list, and the line, for the error.

    Raises:
        ValueError: An empty or absolute name, one with ``..``, or one with
            signs that can't be printed.
    """
    parts = name.split('/')
    if not name.isprintable() or not name or set(parts) & {'', '.', '..'}:
        raise ValueError(
            f'{where}: {name!r} is no name below its folder; expected one '
            "that is neither empty nor absolute, without '..'"
        )
    return name


def stem_of(path: str) -> str:
    """Cut folder and suffix off a file's name."""
    return osp.splitext(osp.basename(path))[0]


def read_video_names(list_file: str) -> List[str]:
    """Read the names of videos from a benchmark's list.

    Args:
        list_file: A text file with one video's name a line. Where a line
            has paths instead, the first one counts: of a frame (as in
            DAVIS-2016's lists) it is the folder's name, of a folder its own.

    Returns:
        list[str]: The names, each once, in the file's order.

    Raises:
        FileNotFoundError: No such file.
        ValueError: It names no video, or one that leads out of its folder.
    """
    names = {}
    lines = read_lines(list_file, 'list of videos', 'one name a line')
    for number, line in lines:
        name = line
        if '/' in line:  # paths; a name alone may have spaces
            path = line.split()[0].rstrip('/')
            if path.lower().endswith(IMAGE_SUFFIXES):
                path = osp.dirname(path)
            # 'a/..' is no way to name the folder next to it.
            name = osp.basename(path) if '..' not in path else path
        names[check_name(name, f'{list_file}, line {number}')] = None
    if not names:
        raise ValueError(f'the list {list_file} names no video')
    return list(names)


def read_lines(path: str, what: str, form: str) -> List[Tuple[int, str]]:
    """Read number (from 1) and text of a file's lines but the empty ones.

    ``what`` the file is and its ``form`` are for the error if it is missing.
    """
    if not osp.isfile(path):
        raise FileNotFoundError(
            f'no {what} {path}; expected a text file with {form}'
        )
    lines = enumerate(io.StringIO(read_text(path), newline=None), 1)
    return [(number, line.strip()) for number, line in lines if line.strip()]


def list_frames(folder: str) -> List[str]:
    """List the images of a video's folder; numbers in names are numbers.

    Returns:
        list[str]: Paths in order, never empty.

    Raises:
        FileNotFoundError: No such folder.
        ValueError: It holds no image, or two of one stem.
    """
    if not osp.isdir(folder):
        raise FileNotFoundError(
            f'no folder of frames {folder}; expected one image a frame in it'
        )
    frames = list_images(folder)
    if not frames:
        raise ValueError(
            f'no frame in {folder}; expected files that end in '
            f'{", ".join(IMAGE_SUFFIXES)}'
        )
    by_stem: Dict[str, str] = {}
    for path in frames:
        other = by_stem.setdefault(stem_of(path), path)
        if other != path:
            raise ValueError(
                f'{folder} holds two frames named {stem_of(path)}, '
                f'{osp.basename(other)} and {osp.basename(path)}; expected '
                'one file a frame, and masks in a folder of their own'
            )
    return frames


def find_masks(folder: str) -> Dict[str, str]:
    """Find the PNGs of a folder, which may be missing, by their stems.

    Raises:
        ValueError: Two have the same stem, as ``0.png`` and ``0.PNG``.
    """
    masks: Dict[str, str] = {}
    for path in list_images(folder, ['.png']):
        other = masks.setdefault(stem_of(path), path)
        if other != path:
            raise ValueError(
                f'{folder} holds two masks named {stem_of(path)}, '
                f'{osp.basename(other)} and {osp.basename(path)}'
            )
    return masks
