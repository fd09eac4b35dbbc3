"""Videos stay whole and in order, and ranks get about equal shares."""

import pytest
from mmengine.dataset import ConcatDataset

from hvc_mm.datasets import VOSDataset
from hvc_mm.datasets.samplers import video_sampler
from hvc_mm.datasets.samplers.video_sampler import (
    VideoSampler,
    find_videos,
    split_videos,
)
from hvc_mm.registry import DATA_SAMPLERS


class Frames:
    """A data set of videos of the given lengths, without files."""

    def __init__(self, lengths):
        self.infos = [
            dict(video=f'v{v}', frame_index=i, video_length=length)
            for v, length in enumerate(lengths)
            for i in range(length)
        ]

    def __len__(self):
        return len(self.infos)

    def get_data_info(self, index):
        return self.infos[index]


def test_one_process_reads_all_in_order():
    sampler = DATA_SAMPLERS.build(
        dict(type='VideoSampler'),
        default_args=dict(dataset=Frames([3, 1, 4]), seed=0),
    )
    assert list(sampler) == list(range(8)) and len(sampler) == 8


@pytest.mark.parametrize(
    'lengths, ranks, expected',
    [([3, 1, 4, 2, 2], 2, [6, 6]), ([2, 5], 3, [0, 2, 5])],
)
def test_ranks_share_whole_videos(monkeypatch, lengths, ranks, expected):
    dataset = Frames(lengths)
    shares = []
    for rank in range(ranks):
        found = (rank, ranks)
        monkeypatch.setattr(video_sampler, 'get_dist_info', lambda f=found: f)
        shares.append(list(VideoSampler(dataset)))
    assert sorted(map(len, shares)) == expected
    assert sorted(sum(shares, [])) == list(range(len(dataset)))
    for share in shares:
        assert share == sorted(share)
        videos = [dataset.infos[i]['video'] for i in share]
        for video in set(videos):
            assert videos.count(video) == lengths[int(video[1:])]


@pytest.mark.parametrize('parts', [1, 2, 3, 4])
def test_shares_are_balanced(parts):
    lengths = [25, 104, 70, 33, 80, 43, 66, 91, 50, 60]  # as DAVIS's
    shares = split_videos(lengths, parts)
    assert sorted(v for s in shares for v in s) == list(range(10))
    loads = [sum(lengths[v] for v in share) for share in shares]
    assert max(loads) - min(loads) <= max(lengths) / 2


def test_wrappers_of_data_sets(davis):
    davis.add('a', 3).add('b', 2)
    one, two = (
        VOSDataset(data_root=str(davis.root), videos=[name], lazy_init=True)
        for name in 'ab'
    )
    both = ConcatDataset([one, two])
    assert find_videos(both) == [range(3), range(3, 5)]


@pytest.mark.parametrize('order', ['01234', '12345', '021345'])
def test_videos_in_pieces_are_refused(order):
    dataset = Frames([3, 3])
    dataset.infos = [dataset.infos[int(index)] for index in order]
    with pytest.raises(ValueError, match="isn't whole and in order"):
        VideoSampler(dataset)
