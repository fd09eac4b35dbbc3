"""Images for pre-training without annotation: photographs, video frames."""

from __future__ import annotations

import glob
import os
import os.path as osp
import random
from typing import Any, Dict, List, Sequence, Union

import numpy as np
import torch
from mmengine.dataset import BaseDataset

from hvc_mm.registry import DATASETS, FUNCTIONS

from .image_io import IMAGE_SUFFIXES, list_images, natural_key
from .video_files import check_folder, check_name, list_frames, read_lines


@DATASETS.register_module()
class ImageFolderDataset(BaseDataset):
    """All images of one or several folders or glob patterns.

    The order is that of the sources, and within a source that of the sorted
    paths; an image that several sources name is taken once. Hidden files are
    left out, see :func:`~hvc_mm.datasets.list_images`.

    Args:
        sources: Folders, glob patterns (``**`` goes down), or single files;
            relative ones start at ``data_root``. By default ``data_root``
            itself.
        data_root: Where relative sources start.
        any_of: Several places where the same images may be, instead of
            ``sources``: the first one that exists is read.
        recursive: Take the images of a folder's subfolders too.
        suffixes: What names of images end in; case makes no difference.
        **kwargs: Those of mmengine's ``BaseDataset`` (``pipeline``,
            ``indices``, ``max_refetch``, ...).

    Raises:
        FileNotFoundError: A folder or file that isn't there, a pattern that
            matches nothing.
        ValueError: A source without any image.
    """

    METAINFO = dict(dataset_type='image_folder')

    def __init__(
        self,
        sources: Union[str, Sequence[str]] = '',
        data_root: str = '',
        any_of: Sequence[str] = (),
        recursive: bool = False,
        suffixes: Sequence[str] = IMAGE_SUFFIXES,
        **kwargs: Any,
    ) -> None:
        sources = [sources] if isinstance(sources, str) else list(sources)
        if not sources or not (data_root or all(sources)):
            raise ValueError(
                'ImageFolderDataset has no sources; expected data_root, or '
                'sources: folders, patterns or files'
            )
        self.sources = sources
        self.any_of = list(any_of)
        self.recursive = recursive
        self.suffixes = tuple(suffix.lower() for suffix in suffixes)
        super().__init__(data_root=data_root, **kwargs)

    def load_data_list(self) -> List[dict]:
        """List the images, as ``img_path`` each."""
        paths = {}  # keeps the order, drops what comes twice
        for source in self._chosen_sources():
            paths.update(dict.fromkeys(self._images_of(source)))
        # What a run must not write over.
        self.inputs = sorted({osp.dirname(path) for path in paths})
        return [dict(img_path=path) for path in paths]

    def _chosen_sources(self) -> List[str]:
        places = [
            osp.normpath(osp.join(self.data_root, osp.expanduser(source)))
            for source in self.any_of or self.sources
        ]
        if not self.any_of:
            return places
        for place in places:
            if _matches(place):
                return [place]
        raise FileNotFoundError(
            f'no images: found none of {", ".join(places)}; expected one of '
            'them. The data root is set by the environment variable '
            'HVC_DATA_ROOT or by --cfg-options data_root=...'
        )

    def _images_of(self, source: str) -> List[str]:
        if osp.isfile(source):
            return [source]
        images = []
        for path in _matches(source):
            if osp.isdir(path):
                images += list_images(path, self.suffixes, self.recursive)
            elif path.lower().endswith(self.suffixes):
                images.append(path)
        if not images:
            raise self._error(source)
        return sorted(images, key=natural_key)

    def _error(self, source: str) -> Exception:
        if not _matches(source):
            if glob.has_magic(source):
                return FileNotFoundError(f'nothing matches {source}')
            return FileNotFoundError(f'no such image folder: {source}')
        message = (
            f'no image in {source}; expected files that end in '
            f'{", ".join(self.suffixes)}'
        )
        has_subfolders = osp.isdir(source) and next(os.walk(source))[1]
        if has_subfolders and not self.recursive:
            message += '; it has subfolders: set recursive=True to read them'
        return ValueError(message)


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
        max_per_video: Frames of one video an epoch; 80 as published.
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
        **kwargs: Any,
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
        """List the parts of all videos, as ``video`` and ``candidates``.

        These are frames to draw from: their names, or a range of numbers.
        """
        folder = self.data_prefix['img_path']
        check_folder(folder, 'a folder of frames for each video')
        if self.ann_file:
            videos = self._listed_videos(folder)
        else:
            videos = {
                entry.name: [osp.basename(p) for p in list_frames(entry.path)]
                for entry in sorted(
                    os.scandir(folder), key=lambda e: natural_key(e.name)
                )
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
        """Draw a frame: ``img_path``, ``video`` and ``sample_idx``."""
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
        first_frames = [
            osp.join(folder, name, f'{frames.start:05d}.jpg')
            for name, frames in videos.items()
        ]
        missing = [path for path in first_frames if not osp.isfile(path)]
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
    form = 'name, first frame, number of frames'
    videos: Dict[str, range] = {}
    for number, line in read_lines(path, 'list', f'lines of {form}'):
        words = [word.strip(' "') for word in line.split(',')]
        try:
            first, count = int(words[1]), int(words[2])
        except (IndexError, ValueError) as error:
            if number == 1 and len(words) >= 3 and words[1][:1].isalpha():
                continue
            raise ValueError(
                f'{path}, line {number}: found {line!r}, expected {form}'
            ) from error
        if count > 0:
            name = check_name(words[0], f'{path}, line {number}')
            videos[name] = range(first, first + count)
    return videos


def split_evenly(items: Sequence, most: int) -> List[Sequence]:
    """Cut n items into ``min(n, most)`` parts of about equal length."""
    parts = min(len(items), most)
    edges = [i * len(items) // parts for i in range(parts + 1)]
    return [items[a:b] for a, b in zip(edges, edges[1:])]


@FUNCTIONS.register_module()
def seed_worker(worker_id: int) -> None:
    """Seed numpy, ``random`` and torch in a data loader's worker.

    torch gives each worker the seed ``base + worker_id``, where ``base`` is
    drawn from the main process' generator whenever workers are started. So
    two epochs differ, unlike with a fixed seed for each worker, and an epoch
    repeats exactly when the main process' torch generator is seeded with the
    same number before it. That needs workers which are started for every
    epoch (``persistent_workers=False``). The rank is mixed in, because all
    ranks may draw the same ``base``; ``worker_id`` is in torch's seed already.
    In a config: ``worker_init_fn=dict(type='hvc_mm.seed_worker')``.
    """
    seed = [torch.initial_seed() % 2**64, int(os.environ.get('RANK', 0))]
    seeds = np.random.SeedSequence(seed).generate_state(3)
    np.random.seed(seeds[0])
    random.seed(int(seeds[1]))
    torch.manual_seed(int(seeds[2]))


def _matches(source: str) -> List[str]:
    # A folder may have a glob's signs in its name: look for it first.
    if osp.exists(source):
        return [source]
    return glob.glob(source, recursive=True)
