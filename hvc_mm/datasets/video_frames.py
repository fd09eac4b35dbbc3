"""Single frames of videos, for pre-training as if they were photographs."""

from __future__ import annotations

import os
import os.path as osp
from typing import Dict, List, Sequence, Tuple

import numpy as np
from mmengine.dataset import BaseDataset

from hvc_mm.registry import DATASETS

from .video_files import check_folder, list_frames


@DATASETS.register_module()
class VideoFramesDataset(BaseDataset):
    """Some frames of every video, drawn anew each epoch.

    A video of n frames makes ``m = min(n, max_per_video)`` items; item i is a
    random frame of the i-th of m equal parts of the video. So a video gives
    at most ``max_per_video`` frames an epoch, none of them twice, and others
    in the next epoch. Random numbers come from ``numpy.random``.

    Args:
        ann_file: A list as the HVC release has it for YouTube-VOS,
            ``ytvos.csv``: lines of name, number of the first frame, number of
            frames; frames are ``<name>/<number, 5 digits>.jpg``. Without it,
            the folders are searched.
        data_root: What ``ann_file`` and ``data_prefix`` start from.
        data_prefix: ``img_path``, a folder of folders of frames.
        max_per_video: Frames of one video an epoch.
        **kwargs: Those of mmengine's ``BaseDataset``.

    Raises:
        FileNotFoundError: A folder, the list, or a video's first frame is
            missing.
        ValueError: The list has a line of another form, or there is no video.
    """

    METAINFO = dict(dataset_type='video_frames')

    def __init__(
        self,
        ann_file: str = '',
        data_root: str = '',
        data_prefix: Dict[str, str] = dict(img_path='JPEGImages'),  # noqa: B006
        max_per_video: int = 80,
        **kwargs,
    ) -> None:
        if max_per_video < 1:
            raise ValueError(
                f'max_per_video must be at least 1, not {max_per_video}'
            )
        self.max_per_video = max_per_video
        super().__init__(
            ann_file=ann_file,
            data_root=data_root,
            data_prefix=data_prefix,
            **kwargs,
        )

    def load_data_list(self) -> List[dict]:
        """List the parts of all videos.

        Returns:
            list[dict]: ``video`` and the frames ``candidates`` to draw from:
            their names, or the numbers ``(first, last + 1)``.
        """
        folder = self.data_prefix['img_path']
        check_folder(folder, 'a folder of frames for each video')
        if self.ann_file:
            videos = self._listed_videos(folder)
        else:
            videos = {
                entry.name: [osp.basename(p) for p in list_frames(entry.path)]
                for entry in sorted(os.scandir(folder), key=lambda e: e.name)
                if entry.is_dir()
            }
        if not videos:
            raise ValueError(
                f'no video in {self.ann_file or folder}; expected at least one'
            )
        return [
            dict(video=name, candidates=part)
            for name, frames in videos.items()
            for part in split_evenly(frames, self.max_per_video)
        ]

    def get_data_info(self, idx: int) -> dict:
        """An item, with a frame drawn for it.

        Args:
            idx: The item's number.

        Returns:
            dict: ``img_path``, ``video`` and ``sample_idx``.
        """
        info = super().get_data_info(idx)
        candidates = info.pop('candidates')
        name = candidates[np.random.randint(len(candidates))]
        if not isinstance(name, str):
            name = f'{name:05d}.jpg'
        info['img_path'] = osp.join(
            self.data_prefix['img_path'], info['video'], name
        )
        return info

    def _listed_videos(self, folder: str) -> Dict[str, range]:
        videos = read_frame_ranges(self.ann_file)
        first_frames = {
            name: osp.join(folder, name, f'{frames.start:05d}.jpg')
            for name, frames in videos.items()
        }
        missing = [p for p in first_frames.values() if not osp.isfile(p)]
        if missing:
            raise FileNotFoundError(
                f'no frame {missing[0]} ({len(missing)} of {len(videos)} '
                f'videos of {self.ann_file} lack their first one)'
            )
        return videos


def read_frame_ranges(path: str) -> Dict[str, range]:
    """Read a list of videos and the numbers of their frames.

    Args:
        path: A text file with ``name,first,count`` a line; a first line that
            has words instead of numbers is a heading.

    Returns:
        dict[str, range]: The numbers of each video's frames.

    Raises:
        FileNotFoundError: No such file.
        ValueError: A line of another form; with its number.
    """
    if not osp.isfile(path):
        raise FileNotFoundError(
            f'no list {path}; expected lines of name, first frame, number of '
            'frames'
        )
    videos: Dict[str, range] = {}
    with open(path, encoding='utf-8') as file:
        for number, line in enumerate(file, 1):
            words = [word.strip() for word in line.split(',')]
            if words == ['']:
                continue
            try:
                first, count = int(words[1]), int(words[2])
            except (IndexError, ValueError) as error:
                if number == 1 and len(words) >= 3:
                    continue
                raise ValueError(
                    f'{path}, line {number}: found {line.strip()!r}, expected '
                    'name, first frame, number of frames'
                ) from error
            if count > 0:
                videos[words[0]] = range(first, first + count)
    return videos


def split_evenly(items: Sequence, most: int) -> List[Sequence]:
    """Cut a sequence into at most ``most`` parts of about equal length.

    Args:
        items: n items.
        most: The greatest number of parts.

    Returns:
        list: ``min(n, most)`` parts in order, none empty.
    """
    parts = min(len(items), most)
    edges: Tuple[int, ...] = tuple(
        i * len(items) // parts for i in range(parts + 1)
    )
    return [items[a:b] for a, b in zip(edges, edges[1:])]
