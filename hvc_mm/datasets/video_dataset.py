"""Videos of a benchmark: where their files are, and one item a frame.

A frame is named by its *stem*: its file's name without folder and suffix.
"""

from __future__ import annotations

import logging
import os.path as osp
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import (
    Any,
    Dict,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Union,
)

from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from .id_masks import objects_in
from .image_io import read_image_size
from .transforms import Prompt
from .video_files import check_folder, list_frames, stem_of


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

    def add_prompt(self, stem: str, prompt: Prompt) -> None:
        """Give a mask to the model at one frame, and count its objects.

        The mask is read here and now: a bad one should not end a run hours
        later, when it comes to this video (see :meth:`Prompt.read`).
        """
        frame = next(path for path in self.frames if stem_of(path) == stem)
        self.num_objects += len(
            objects_in(prompt.read(read_image_size(frame)))
        )
        self.prompts[stem] = dict(prompt=prompt.to_dict())

    def files(self) -> List[str]:
        """List the video's frames and annotations."""
        return [*self.frames, *self.gt_paths.values()]

    def items(self) -> Iterator[dict]:
        """Make one dictionary a frame; see :class:`VideoDataset`."""
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
        data_prefix: Folders below ``data_root``, all of which must be there;
            by default the class's :attr:`FOLDERS`.
        videos: Take only these videos (one name, or several), in the
            benchmark's order.
        max_frames: Take at most so many frames from each video's beginning.
        benchmark: What the whole benchmark should have, for the log:
            ``name`` and any of ``videos``, ``frames``, ``objects``.
        **kwargs: Those of mmengine's ``BaseDataset``; ``indices`` is
            refused, because it would cut videos.

    Raises:
        FileNotFoundError: A missing folder; with its name.
        ValueError: ``indices`` are given, ``videos`` names one that the
            benchmark doesn't have, or no video is left.
    """

    FOLDERS: Mapping[str, str] = {}

    def __init__(
        self,
        ann_file: str = '',
        data_prefix: Optional[dict] = None,
        videos: Union[str, Sequence[str], None] = None,
        max_frames: Optional[int] = None,
        benchmark: Optional[dict] = None,
        **kwargs: Any,
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
        self.videos = [videos] if isinstance(videos, str) else videos
        self.max_frames = max_frames
        self.benchmark = dict(benchmark or {})
        self.counts: Dict[str, int] = {}
        # Nothing may be skipped in an evaluation.
        kwargs['test_mode'] = True
        super().__init__(
            ann_file=ann_file,
            data_prefix=dict(data_prefix or self.FOLDERS),
            **kwargs,
        )

    @abstractmethod
    def list_videos(self) -> List[str]:
        """List the names of the benchmark's videos, in its order."""

    @abstractmethod
    def load_video(self, name: str) -> VideoRecord:
        """Find the files of one video and check what is cheap to check."""

    def check_annotations(self) -> None:
        """Read what only scoring would read, once, before a test begins.

        Nothing by default. A data set overrides it to raise an error that
        names a wrong file, where :meth:`load_video` would have to decode it.
        """

    def load_data_list(self) -> List[dict]:
        """Find all videos; make one item a frame."""
        for key, path in self.data_prefix.items():
            check_folder(path, f'the {key} of {type(self).__name__}')
        names = self._chosen(self.list_videos())
        records = [self.load_video(name) for name in names]
        self.counts = dict(
            videos=len(records),
            frames=sum(len(record.frames) for record in records),
            objects=sum(record.num_objects for record in records),
        )
        self._log_counts()
        # A video's folder may be a link to another place.
        self.inputs = sorted(
            {self.ann_file, *self.data_prefix.values()}.union(
                *(map(osp.dirname, record.files()) for record in records)
            )
            - {''}
        )
        # Metrics and hooks find it in the data set's meta information.
        self._metainfo.update(
            counts=self.counts, benchmark=self.benchmark, inputs=self.inputs
        )
        return [item for record in records for item in record.items()]

    def frames_in(self, folder: str) -> List[str]:
        """List a video's frames in order, at most ``max_frames`` of them."""
        listed = f' ({self.ann_file} lists it)' if self.ann_file else ''
        check_folder(folder, f'the frames of a video{listed}')
        return list_frames(folder)[: self.max_frames]

    def _chosen(self, names: List[str]) -> List[str]:
        source = self.ann_file or self.data_root
        if self.videos is not None:
            unknown = sorted(set(self.videos) - set(names))
            if unknown:
                some = ', '.join(names[:5]) + ', ...' * (len(names) > 5)
                raise ValueError(
                    f'no video {unknown} in {source}; it has {len(names)} '
                    f'videos: {some}'
                )
            names = [name for name in names if name in self.videos]
        if not names:
            raise ValueError(f'no video in {source}; expected at least one')
        return names

    def _log_counts(self) -> None:
        found, level = [], logging.INFO
        for what, count in self.counts.items():
            whole = self.benchmark.get(what, count)
            found.append(f'{count} {what}')
            if whole != count:
                found[-1] += f' (the benchmark has {whole})'
                level = logging.WARNING
        name = self.benchmark.get('name', type(self).__name__)
        print_log(f'{name}: {", ".join(found)}', logger='current', level=level)
