"""Frames of a video go to one process, whole and in order."""

from __future__ import annotations

from typing import Iterator, List, Optional, Sequence

from mmengine.dist import get_dist_info
from torch.utils.data import Sampler

from hvc_mm.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class VideoSampler(Sampler):
    """Hand each rank whole videos, all frames of one after another.

    The longest videos are dealt out first, each to the rank with the fewest
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

    def __init__(self, dataset, seed: Optional[int] = None) -> None:
        rank, world_size = get_dist_info()
        videos = find_videos(dataset)
        share = split_videos([len(v) for v in videos], world_size)[rank]
        self._indices = [i for video in share for i in videos[video]]

    def __iter__(self) -> Iterator[int]:
        return iter(self._indices)

    def __len__(self) -> int:
        return len(self._indices)


def find_videos(dataset) -> List[range]:
    """Find where a data set's videos begin and end.

    Args:
        dataset: Its ``get_data_info`` gives ``video``, ``frame_index`` and
            ``video_length``.

    Returns:
        list[range]: The indices of each video.

    Raises:
        ValueError: Items of a video that aren't all there, in order.
    """
    videos: List[range] = []
    total = len(dataset)
    start = 0
    while start < total:
        info = dataset.get_data_info(start)
        videos.append(range(start, start + info['video_length']))
        for index in videos[-1]:
            other = dataset.get_data_info(index) if index < total else {}
            if (other.get('video'), other.get('frame_index')) != (
                info['video'],
                index - start,
            ):
                raise ValueError(
                    f"the video {info['video']} isn't whole and in order in "
                    f'the data set: item {index} of {total} should be its '
                    f'frame {index - start} of {info["video_length"]}, but '
                    f'is {other.get("video")} {other.get("frame_index")}'
                )
        start = videos[-1].stop
    return videos


def split_videos(lengths: Sequence[int], parts: int) -> List[List[int]]:
    """Split videos over processes such that each has about as many frames.

    Args:
        lengths: Frames of each video.
        parts: How many processes.

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
