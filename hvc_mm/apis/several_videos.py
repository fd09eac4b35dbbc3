"""Several videos in one call, told apart from the frames of a single one."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

import numpy as np
from torch import Tensor

from hvc_mm.datasets import IMAGE_SUFFIXES, list_images

from .prompt_masks import Masks
from .video_io import FrameSource, open_frames

# Of the files in a folder, those that are taken as its videos.
_VIDEO_SUFFIXES = (
    *('.mp4', '.m4v', '.mov', '.avi', '.mkv', '.webm', '.mpg', '.mpeg'),
    *('.wmv', '.flv', '.ts', '.ogv', '.3gp'),
)
_ERRORS = FileNotFoundError, FileExistsError, OSError, TypeError, ValueError


def open_videos(
    inputs: Any, masks: Any
) -> Optional[List[Tuple[FrameSource, Masks]]]:
    """Open each of several videos, with its masks; nothing is read yet.

    Several videos are a list (or tuple) of what is a video by itself: video
    files, folders of images, lists or generators of frames, arrays ``(T, H,
    W, 3)``; or a folder that holds no images but video files, in the order
    of the numbers in their names. A list of image files, arrays ``(H, W,
    3)``, pictures of Pillow or tensors ``(3, H, W)`` is one video's frames.

    Args:
        inputs: What an inferencer was given.
        masks: For several videos a list with one video's masks each, in
            their order, or a mapping from the videos' names.

    Returns:
        None where the inputs are a single video. Videos without a file have
        their place as name: ``video_0``, ...

    Raises:
        FileNotFoundError: A missing video.
        ValueError: One that can't be read; videos next to frames; or masks
            that are not one for each video.
    """
    videos = _list_videos(inputs)
    if videos is None:
        return None
    sources = []
    for index, video in enumerate(videos):
        with naming(f'video {index}'):
            sources.append(open_frames(video))
        if not isinstance(video, (str, Path, FrameSource)):
            sources[-1].name = f'video_{index}'
    return list(zip(sources, _split_masks(masks, sources)))


def check_names(sources: List[FrameSource]) -> None:
    """Raise ValueError where two videos' results would have one name."""
    by_name: Dict[str, int] = {}
    for index, source in enumerate(sources):
        # As file systems that ignore case see it.
        other = by_name.setdefault(source.name.casefold(), index)
        if other != index:
            raise ValueError(
                f'videos {other} and {index} are both named {source.name}, '
                'as their results in out_dir would be; expected videos of '
                'different names, or a call and an out_dir for each'
            )


@contextmanager
def naming(video: Optional[str]) -> Iterator[None]:
    """Put a video's name in front of what an error says.

    Args:
        video: None for no name.

    Raises:
        FileNotFoundError, FileExistsError, OSError, TypeError, ValueError:
            With the name, where the body raised one.
    """
    try:
        yield
    except _ERRORS as error:
        if video is None:
            raise
        kind = next(kind for kind in _ERRORS if isinstance(error, kind))
        raise kind(f'{video}: {error}') from error


def _list_videos(inputs: Any) -> Optional[List[Any]]:
    if isinstance(inputs, (str, Path)) and Path(inputs).is_dir():
        if list_images(str(inputs)):
            return None
        return list_images(str(inputs), _VIDEO_SUFFIXES) or None
    if not isinstance(inputs, (list, tuple)):
        return None
    are_videos = [_is_video(one) for one in inputs]
    if any(are_videos) and not all(are_videos):
        first, other = are_videos.index(True), are_videos.index(False)
        raise ValueError(
            f'item {first} of the list is a video ({_described(inputs[first])}'
            f'), item {other} is a frame ({_described(inputs[other])}); '
            'expected a list of videos, or of the frames of one'
        )
    return list(inputs) if any(are_videos) else None


def _is_video(item: Any) -> bool:
    """Tell whether an item of a list is a video by itself."""
    if isinstance(item, (str, Path)):
        is_image = Path(item).suffix.lower() in IMAGE_SUFFIXES
        return Path(item).is_dir() or not is_image
    if isinstance(item, (np.ndarray, Tensor)):
        return item.ndim == 4
    is_iterator = hasattr(item, '__next__')
    return is_iterator or isinstance(item, (list, tuple, FrameSource))


def _described(item: Any) -> str:
    return str(item) if isinstance(item, (str, Path)) else type(item).__name__


def _split_masks(masks: Any, sources: List[FrameSource]) -> List[Masks]:
    names = [source.name for source in sources]
    if isinstance(masks, (list, tuple)):
        if len(masks) == len(sources):
            return list(masks)
        found = f'a list of {len(masks)}'
    elif isinstance(masks, Mapping):
        if set(masks) == set(names) and len(set(names)) == len(names):
            return [masks[name] for name in names]
        found = f'masks for {sorted(map(str, masks))}'
    else:
        found = _described(masks)
    raise ValueError(
        f'{len(sources)} videos ({", ".join(names)}) need masks each, as a '
        f'list in their order or a dict by their names; found {found}'
    )
