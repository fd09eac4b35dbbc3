"""Videos stay whole and in order, and ranks get about equal shares."""

import pytest
from mmengine.dataset import ConcatDataset

from hvc_mm.datasets.samplers import video_sampler
from hvc_mm.datasets.samplers.video_sampler import (
    VideoSampler,
    find_videos,
    split_videos,
)
from hvc_mm.registry import DATA_SAMPLERS


class Frames:
    """Stands for a data set: videos of the given lengths."""

    def __init__(self, lengths, name='v'):
        self.infos = [
            dict(video=f'{name}{v}', frame_index=i, video_length=length)
            for v, length in enumerate(lengths)
            for i in range(length)
        ]

    metainfo = {}

    def full_init(self):
        pass

    def __len__(self):
        return len(self.infos)

    def get_data_info(self, index):
        return self.infos[index]


def _on_rank(monkeypatch, rank, world):
    monkeypatch.setattr(video_sampler, 'get_dist_info', lambda: (rank, world))


def test_one_process_reads_all_in_order():
    sampler = DATA_SAMPLERS.build(
        dict(type='VideoSampler'),
        default_args=dict(dataset=Frames([3, 1, 4]), seed=0),
    )
    assert list(sampler) == list(range(8)) and len(sampler) == 8


def test_ranks_share_whole_videos(monkeypatch):
    dataset = Frames([3, 1, 4, 2, 2])
    shares = []
    for rank in range(2):
        _on_rank(monkeypatch, rank, 2)
        shares.append(list(VideoSampler(dataset)))
    assert sorted(shares[0] + shares[1]) == list(range(12))
    assert [len(share) for share in shares] == [6, 6]
    for share in shares:
        assert share == sorted(share)
        videos = [dataset.infos[i]['video'] for i in share]
        for video in set(videos):
            length = sum(info['video'] == video for info in dataset.infos)
            assert videos.count(video) == length


def test_more_ranks_than_videos(monkeypatch):
    shares = []
    for rank in range(3):
        _on_rank(monkeypatch, rank, 3)
        shares.append(list(VideoSampler(Frames([2, 5]))))
    assert sorted(map(len, shares)) == [0, 2, 5]


def test_shares_are_balanced():
    lengths = [25, 104, 70, 33, 80, 43, 66, 91, 50, 60]  # as DAVIS's
    for parts in (1, 2, 3, 4):
        shares = split_videos(lengths, parts)
        assert sorted(v for s in shares for v in s) == list(range(10))
        loads = [sum(lengths[v] for v in share) for share in shares]
        assert max(loads) - min(loads) <= max(lengths) / 2


def test_wrappers_of_data_sets(davis):
    from hvc_mm.datasets import VOSDataset

    davis.add('a', 3).add('b', 2)
    one, two = (
        VOSDataset(data_root=str(davis.root), videos=[name], lazy_init=True)
        for name in 'ab'
    )
    both = ConcatDataset([one, two])
    assert find_videos(both) == [range(3), range(3, 5)]


@pytest.mark.parametrize('break_it', ['cut', 'begin', 'order'])
def test_videos_in_pieces_are_refused(break_it):
    dataset = Frames([3, 3])
    if break_it == 'cut':
        del dataset.infos[-1]
    elif break_it == 'begin':
        del dataset.infos[0]
    else:
        dataset.infos[1:3] = dataset.infos[2:0:-1]
    with pytest.raises(ValueError, match="isn't whole and in order"):
        VideoSampler(dataset)
