"""Frames of a video go to one process, whole and in order."""

from __future__ import annotations

from typing import Iterator, List, Optional, Sequence

from mmengine.dataset import BaseDataset
from mmengine.dist import get_dist_info
from torch.utils.data import Sampler

from hvc_mm.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class VideoSampler(Sampler):
    """Give each rank whole videos, all frames of one after another.

    The longest videos are given away first, each to the rank with the fewest
    frames so far; a rank then keeps the data set's order. Nothing is
    repeated to make ranks equal: the shares differ, and where there are
    fewer videos than ranks some are empty. The split depends on the videos'
    lengths alone.

    Args:
        dataset: One item a frame, videos in order: a
            :class:`~hvc_mm.datasets.VideoDataset`, or a wrapper with
            ``get_data_info``.
        seed: Taken because mmengine passes one; nothing here is random.

    Raises:
        ValueError: Items of a video that aren't all there, in order.
    """

    def __init__(
        self, dataset: BaseDataset, seed: Optional[int] = None
    ) -> None:
        rank, world_size = get_dist_info()
        videos = find_videos(dataset)
        share = split_videos([len(v) for v in videos], world_size)[rank]
        self._indices = [i for video in share for i in videos[video]]

    def __iter__(self) -> Iterator[int]:
        return iter(self._indices)

    def __len__(self) -> int:
        return len(self._indices)


def find_videos(dataset: BaseDataset) -> List[range]:
    """Find where a data set's videos begin and end.

    Args:
        dataset: Its ``get_data_info`` gives ``video``, ``frame_index`` and
            ``video_length``.

    Returns:
        list[range]: The indices of each video.

    Raises:
        ValueError: Items of a video that aren't all there, in order.
    """
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    videos: List[range] = []
    start = 0
    while start < len(infos):
        name, length = infos[start]['video'], infos[start]['video_length']
        videos.append(range(start, start + length))
        found = [
            (info['video'], info['frame_index'])
            for info in infos[start : start + length]
        ]
        if found != [(name, index) for index in range(length)]:
            raise ValueError(
                f"the video {name} isn't whole and in order in the data set: "
                f'items {start} to {start + length - 1} of {len(infos)} '
                f'should be its frames 0 to {length - 1}, but are {found}'
            )
        start += length
    return videos


def split_videos(lengths: Sequence[int], parts: int) -> List[List[int]]:
    """Split videos such that each part has about as many frames.

    Returns:
        list[list[int]]: The videos of each part, ascending.
    """
    shares: List[List[int]] = [[] for _ in range(parts)]
    loads = [0] * parts
    # sorted() is stable: equal lengths keep their order on every rank.
    for video in sorted(range(len(lengths)), key=lambda v: -lengths[v]):
        lightest = loads.index(min(loads))
        shares[lightest].append(video)
        loads[lightest] += lengths[video]
    return [sorted(share) for share in shares]
