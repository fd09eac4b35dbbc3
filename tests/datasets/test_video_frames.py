"""Frames of videos as photographs: how many, which, and anew each time."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from hvc_mm.datasets import VideoFramesDataset
from hvc_mm.datasets.pretrain_images import read_frame_ranges, split_evenly


@pytest.fixture
def root(tmp_path):
    """Videos of 12, 3 and 5 frames; the second begins at frame 7."""
    lines = []
    for name, first, count in (('a', 0, 12), ('b', 7, 3), ('c', 0, 5)):
        folder = tmp_path / 'JPEGImages' / name
        folder.mkdir(parents=True)
        for number in range(first, first + count):
            (folder / f'{number:05d}.jpg').touch()
        lines.append(f'{name},{first},{count}\n')
    (tmp_path / 'ytvos.csv').write_text(''.join(lines))
    return tmp_path


def _epoch(dataset):
    paths = [
        Path(dataset.get_data_info(i)['img_path']) for i in range(len(dataset))
    ]
    assert all(path.is_file() for path in paths)
    return [(path.parent.name, path.stem) for path in paths]


@pytest.mark.parametrize('ann_file', ['ytvos.csv', ''])
def test_at_most_so_many_of_each_video_and_none_twice(root, ann_file):
    dataset = VideoFramesDataset(ann_file, str(root), max_per_video=4)
    np.random.seed(0)
    seen = set()
    for _ in range(60):
        epoch = _epoch(dataset)
        assert Counter(v for v, _ in epoch) == dict(a=4, b=3, c=4)
        assert len(set(epoch)) == len(epoch)
        seen |= set(epoch)
    # Other frames in other epochs: in the end all of them.
    assert len(seen) == 20


def test_a_frame_of_a_part_is_as_likely_as_the_next(root):
    dataset = VideoFramesDataset('ytvos.csv', str(root), max_per_video=4)
    np.random.seed(0)
    draws = Counter(_epoch(dataset)[0] for _ in range(600))
    assert set(draws) == {('a', f'{i:05d}') for i in range(3)}
    assert min(draws.values()) > 150


def test_the_draw_repeats_with_the_seed(root):
    dataset = VideoFramesDataset('ytvos.csv', str(root), max_per_video=4)
    epochs = []
    for seed in (3, 3, 4):
        np.random.seed(seed)
        epochs.append(_epoch(dataset))
    assert epochs[0] == epochs[1] != epochs[2]


def test_the_paper_s_number_is_the_default(root):
    assert VideoFramesDataset('', str(root)).max_per_video == 80


def test_lists_may_have_a_heading_and_empty_videos(tmp_path):
    path = tmp_path / 'list.csv'
    path.write_text('name, first, frames\na, 0, 3\n\nb,2,0\nc , 1, 2\n')
    assert read_frame_ranges(str(path)) == dict(a=range(3), c=range(1, 3))


def test_bad_lists_and_folders_are_named(root):
    with pytest.raises(FileNotFoundError, match=r'no list .*other\.csv'):
        VideoFramesDataset('other.csv', str(root))
    (root / 'ytvos.csv').write_text('a,0,12\nb;7;3\n')
    with pytest.raises(ValueError, match=r"line 2: found 'b;7;3'"):
        VideoFramesDataset('ytvos.csv', str(root))
    (root / 'ytvos.csv').write_text('a,0,12\nd,0,3\n')
    with pytest.raises(
        FileNotFoundError, match=r'd/00000\.jpg \(1 of 2 videos'
    ):
        VideoFramesDataset('ytvos.csv', str(root))
    (root / 'ytvos.csv').write_text('')
    with pytest.raises(ValueError, match='no video'):
        VideoFramesDataset('ytvos.csv', str(root))
    with pytest.raises(FileNotFoundError, match='absent.*HVC_DATA_ROOT'):
        VideoFramesDataset('', str(root / 'absent'))
    with pytest.raises(ValueError, match='max_per_video'):
        VideoFramesDataset('', str(root), max_per_video=0)


def test_parts_are_even_and_complete():
    for count in (1, 5, 79, 80, 81, 200):
        parts = split_evenly(range(count), 80)
        assert len(parts) == min(count, 80)
        assert [i for part in parts for i in part] == list(range(count))
        lengths = [len(part) for part in parts]
        assert max(lengths) - min(lengths) <= 1
