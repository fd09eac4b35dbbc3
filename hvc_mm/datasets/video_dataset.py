"""What all video benchmarks share: one item a frame, videos whole."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, Dict, Iterator, List, Optional, Sequence

from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from .video_files import list_frames, stem_of


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
