"""What all video data sets share: items, choices, counts."""

import logging

import pytest
from mmengine.logging import MMLogger

from hvc_mm.datasets.video_dataset import VideoDataset, VideoRecord


class Numbers(VideoDataset):
    """Videos a, b, c of 2, 3 and 4 frames that aren't on disk."""

    lengths = dict(a=2, b=3, c=4)

    def frames_in(self, folder):
        frames = [f'/f/{folder}/{i:02d}.jpg' for i in range(9)]
        return frames[: self.lengths[folder]][: self.max_frames]

    def list_videos(self):
        return list(self.lengths)

    def load_video(self, name):
        return VideoRecord(
            name=name,
            frames=self.frames_in(name),
            gt_paths={'01': f'/a/{name}/01.png'},
            prompts={'00': dict(prompt=name)},
            num_objects=2,
            extra=dict(category='x'),
            frame_extra={'01': dict(is_scored=False)},
        )


def _infos(dataset):
    return [dataset.get_data_info(i) for i in range(len(dataset))]


def test_one_item_a_frame_in_order():
    infos = _infos(Numbers())
    assert [(i['video'], i['frame_index']) for i in infos] == [
        (name, index)
        for name, length in Numbers.lengths.items()
        for index in range(length)
    ]
    assert [i['starts_video'] for i in infos[:3]] == [True, False, True]
    second = infos[3]
    assert second.pop('sample_idx') == 3
    assert second == dict(
        img_path='/f/b/01.jpg',
        first_img_path='/f/b/00.jpg',
        video='b',
        frame_index=1,
        frame_name='01',
        video_length=3,
        starts_video=False,
        gt_path='/a/b/01.png',
        category='x',
        is_scored=False,
    )
    assert infos[2]['prompt'] == 'b' and infos[2]['gt_path'] is None


def test_some_videos_and_some_frames_stay_whole():
    infos = _infos(Numbers(videos=['c', 'a'], max_frames=3))
    assert [i['video'] for i in infos] == list('aaccc')
    assert [i['video_length'] for i in infos] == [2, 2, 3, 3, 3]


def test_counts_are_told_beside_the_benchmarks(caplog):
    benchmark = dict(name='Abc', videos=3, frames=99)
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    try:
        with caplog.at_level(logging.INFO):
            dataset = Numbers(benchmark=benchmark)
            Numbers()
    finally:
        logger.removeHandler(caplog.handler)
    assert dataset.metainfo['counts'] == dict(videos=3, frames=9, objects=6)
    assert dataset.metainfo['benchmark'] == benchmark
    short, plain = caplog.records
    assert short.getMessage() == (
        'Abc: 3 videos, 9 frames (the benchmark has 99), 6 objects'
    )
    assert short.levelno == logging.WARNING
    assert plain.getMessage() == 'Numbers: 3 videos, 9 frames, 6 objects'


def test_what_would_cut_videos_is_refused():
    with pytest.raises(ValueError, match='indices.*max_frames'):
        Numbers(indices=5)
    with pytest.raises(ValueError, match='max_frames must be'):
        Numbers(max_frames=0)


def test_unknown_and_no_videos_are_refused():
    with pytest.raises(ValueError, match=r"no video \['z'\].*3 videos: a, b"):
        Numbers(videos=['a', 'z'])
    with pytest.raises(ValueError, match='no video in'):
        Numbers(videos=[])


def test_it_never_skips_an_item():
    assert Numbers().test_mode
