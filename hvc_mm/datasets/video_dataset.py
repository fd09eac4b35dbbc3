"""Videos of a benchmark: their files, one item a frame, given masks.

H, W: height and width of a frame in pixels.
"""

from __future__ import annotations

import logging
import os
import os.path as osp
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, field
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from .image_io import (
    IMAGE_SUFFIXES,
    objects_in,
    read_id_mask,
    without_void,
)


@dataclass
class VideoRecord:
    """One video of a benchmark, as its data set found it.

    Args:
        name: The video's name.
        frames: Paths of its frames, in order.
        gt_paths: The annotation file of a frame, by the frame's stem.
        prompts: What is given to the model at a frame, by the frame's stem:
            items that the pipeline understands.
        num_objects: How many objects are given in the whole video.
        extra: Further items for every frame of the video.
        frame_extra: Further items of single frames, by the frame's stem.
    """

    name: str
    frames: List[str]
    gt_paths: Dict[str, str] = field(default_factory=dict)
    prompts: Dict[str, Dict[str, Any]] = field(default_factory=dict)
    num_objects: int = 0
    extra: Dict[str, Any] = field(default_factory=dict)
    frame_extra: Dict[str, Dict[str, Any]] = field(default_factory=dict)

    def items(self) -> Iterator[dict]:
        """One dictionary a frame; see :class:`VideoDataset`."""
        for index, path in enumerate(self.frames):
            stem = stem_of(path)
            yield dict(
                img_path=path,
                first_img_path=self.frames[0],
                video=self.name,
                frame_index=index,
                frame_name=stem,
                video_length=len(self.frames),
                starts_video=index == 0,
                gt_path=self.gt_paths.get(stem),
                **self.extra,
                **self.frame_extra.get(stem, {}),
                **self.prompts.get(stem, {}),
            )


class VideoDataset(BaseDataset, ABC):
    """Videos as a stream of frames: item i is a frame, videos in order.

    Items hold ``img_path``, ``first_img_path``, ``video``, ``frame_index``,
    ``frame_name``, ``video_length``, ``starts_video`` and ``gt_path`` (None
    where the benchmark has no annotation), and a prompt where one is given.
    Read them in order, with
    :class:`~hvc_mm.datasets.samplers.VideoSampler`.

    Args:
        ann_file: The list of videos; relative to ``data_root``.
        videos: Take only these videos, in the benchmark's order.
        max_frames: Take at most so many frames from each video's beginning.
        benchmark: What the whole benchmark should have, for the log:
            ``name`` and any of ``videos``, ``frames``, ``objects``.
        **kwargs: Those of mmengine's ``BaseDataset``; ``indices`` is
            refused, because it would cut videos.

    Raises:
        ValueError: ``indices`` are given, ``videos`` names one that the
            benchmark doesn't have, or no video is left.
    """

    def __init__(
        self,
        ann_file: str = '',
        videos: Optional[Sequence[str]] = None,
        max_frames: Optional[int] = None,
        benchmark: Optional[dict] = None,
        **kwargs,
    ) -> None:
        if kwargs.get('indices') is not None:
            raise ValueError(
                f"{type(self).__name__} can't take indices, they cut videos; "
                'expected videos=[...] or max_frames=n'
            )
        if max_frames is not None and max_frames < 1:
            raise ValueError(
                f'max_frames must be at least 1, not {max_frames}'
            )
        self.videos = None if videos is None else list(videos)
        self.max_frames = max_frames
        self.benchmark = dict(benchmark or {})
        self.counts: Dict[str, int] = {}
        # Nothing may be skipped in an evaluation.
        kwargs['test_mode'] = True
        super().__init__(ann_file=ann_file, **kwargs)

    @abstractmethod
    def list_videos(self) -> List[str]:
        """The names of the benchmark's videos, in its order."""

    @abstractmethod
    def load_video(self, name: str) -> VideoRecord:
        """Find the files of one video and check what is cheap to check."""

    def load_data_list(self) -> List[dict]:
        """Find all videos.

        Returns:
            list[dict]: One item a frame.
        """
        names = self._chosen(self.list_videos())
        records = [self.load_video(name) for name in names]
        self.counts = dict(
            videos=len(records),
            frames=sum(len(record.frames) for record in records),
            objects=sum(record.num_objects for record in records),
        )
        self._log_counts()
        # Metrics and hooks find it in the data set's meta information.
        self._metainfo.update(counts=self.counts, benchmark=self.benchmark)
        return [item for record in records for item in record.items()]

    def frames_in(self, folder: str) -> List[str]:
        """A video's frames in order, at most ``max_frames`` of them."""
        return list_frames(folder)[: self.max_frames]

    def _chosen(self, names: List[str]) -> List[str]:
        if self.videos is not None:
            unknown = sorted(set(self.videos) - set(names))
            if unknown:
                raise ValueError(
                    f'no video {unknown} in {self.ann_file or self.data_root}'
                    f'; it has {len(names)} videos: {_some(names)}'
                )
            names = [name for name in names if name in set(self.videos)]
        if not names:
            raise ValueError(
                f'no video in {self.ann_file or self.data_root}; expected at '
                'least one'
            )
        return names

    def _log_counts(self) -> None:
        found = ', '.join(
            f'{count} {what}'
            + (
                f' (the benchmark has {self.benchmark[what]})'
                if self.benchmark.get(what, count) != count
                else ''
            )
            for what, count in self.counts.items()
        )
        name = self.benchmark.get('name', type(self).__name__)
        differs = any(
            self.benchmark.get(what, count) != count
            for what, count in self.counts.items()
        )
        print_log(
            f'{name}: {found}',
            logger='current',
            level=logging.WARNING if differs else logging.INFO,
        )


def _some(names: Sequence[str], most: int = 5) -> str:
    dots = ', ...' if len(names) > most else ''
    return ', '.join(names[:most]) + dots


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


@dataclass(frozen=True)
class Prompt:
    """Where the objects that begin at a frame are drawn.

    Args:
        path: An id mask; see :func:`~hvc_mm.datasets.image_io.read_id_mask`.
        objects: Ids that begin here; None for all that the mask holds.
        max_objects: The largest id that the run can hold; None for any.
        binary: Every value but 0 is object 1. None: that holds for a mask
            of nothing but 0 and 255, as DAVIS-2016 draws them; elsewhere 255
            is void.
    """

    path: str
    objects: Optional[Tuple[int, ...]] = None
    max_objects: Optional[int] = None
    binary: Optional[bool] = None

    def to_dict(self) -> dict:
        """As a plain dictionary, for a data set's list of items."""
        return asdict(self)

    def read(self, shape: Sequence[int]) -> np.ndarray:
        """Read the mask and make sure that the run can start from it.

        Args:
            shape: ``(H, W)`` that the frame has.

        Returns:
            np.ndarray: ``(H, W)`` uint8, the ids that begin here, else 0.

        Raises:
            FileNotFoundError: No such mask.
            ValueError: The mask stores no ids, has another size than the
                frame, holds no object or not those that should begin here,
                or an id beyond ``max_objects``.
        """
        ids = read_id_mask(self.path)
        if ids.shape != tuple(shape):
            raise ValueError(
                f'the mask {self.path} has {ids.shape[1]}x{ids.shape[0]} '
                f'pixels; expected {shape[1]}x{shape[0]} as its frame has'
            )
        ids = without_void(ids, self.binary)
        present = set(objects_in(ids))
        if not present:
            raise ValueError(
                f'the mask {self.path} is empty; expected at least one object'
            )
        if self.objects is not None:
            missing = sorted(set(self.objects) - present)
            if missing:
                raise ValueError(
                    f'the mask {self.path} lacks object {missing}, which '
                    f'should begin there; it holds {sorted(present)}'
                )
            ids[~np.isin(ids, self.objects)] = 0
            present &= set(self.objects)
        if self.max_objects is not None and max(present) > self.max_objects:
            raise ValueError(
                f'the mask {self.path} holds object {max(present)}; expected '
                f"ids up to {self.max_objects}, the run's max_objects"
            )
        return ids
