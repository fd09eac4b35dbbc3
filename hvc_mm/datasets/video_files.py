"""Finding a video's files: lists of names, folders of frames and masks."""

from __future__ import annotations

import os
import os.path as osp
from typing import Dict, List, Sequence

from .image_io import IMAGE_SUFFIXES


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
        ValueError: It names no video.
    """
    if not osp.isfile(list_file):
        raise FileNotFoundError(
            f'no list of videos {list_file}; expected a text file with one '
            'name a line'
        )
    names = {}
    with open(list_file, encoding='utf-8') as file:
        for line in file:
            words = line.split()
            if not words:
                continue
            first = words[0]
            if first.lower().endswith(IMAGE_SUFFIXES):
                first = osp.dirname(first)
            names[osp.basename(first.rstrip('/'))] = None
    if not names:
        raise ValueError(f'the list {list_file} names no video')
    return list(names)


def list_frames(folder: str) -> List[str]:
    """List a video's frames in the order of their names.

    Args:
        folder: The video's folder of images.

    Returns:
        list[str]: Paths, sorted; never empty.

    Raises:
        FileNotFoundError: No such folder.
        ValueError: It holds no image, or two frames of one stem.
    """
    if not osp.isdir(folder):
        raise FileNotFoundError(
            f'no folder of frames {folder}; expected one image a frame in it'
        )
    frames = _files(folder, IMAGE_SUFFIXES)
    if not frames:
        raise ValueError(
            f'no frame in {folder}; expected files that end in '
            f'{", ".join(IMAGE_SUFFIXES)}'
        )
    stems = [stem_of(path) for path in frames]
    if len(set(stems)) < len(stems):
        twice = next(a for a, b in zip(stems, stems[1:]) if a == b)
        raise ValueError(f'{folder} holds two frames named {twice}')
    return frames


def find_masks(folder: str) -> Dict[str, str]:
    """Find a video's annotation files.

    Args:
        folder: The video's folder of masks; it may be missing.

    Returns:
        dict[str, str]: The path of each PNG by its stem.
    """
    if not osp.isdir(folder):
        return {}
    return {stem_of(path): path for path in _files(folder, ('.png',))}


def stem_of(path: str) -> str:
    """A file's name without its folder and suffix."""
    return osp.splitext(osp.basename(path))[0]


def check_folder(path: str, what: str) -> None:
    """Complain about a missing folder.

    Args:
        path: The folder.
        what: What should be in it.

    Raises:
        FileNotFoundError: There is no such folder.
    """
    if not osp.isdir(path):
        raise FileNotFoundError(
            f'no folder {path}; expected {what}. The data root is set by the '
            'environment variable HVC_DATA_ROOT or by '
            '--cfg-options data_root=...'
        )


def _files(folder: str, suffixes: Sequence[str]) -> List[str]:
    return sorted(
        osp.join(folder, name)
        for name in os.listdir(folder)
        # A copy from a Mac brings '._00000.jpg' files, which are no images.
        if name.lower().endswith(tuple(suffixes)) and not name.startswith('.')
    )
