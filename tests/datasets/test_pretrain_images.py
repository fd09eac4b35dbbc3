"""Images for pre-training: what is found, how it is drawn, worker seeds."""

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.dataset import default_collate
from mmengine.registry import FUNCTIONS as ROOT_FUNCTIONS
from torch.utils.data import DataLoader, Dataset

from hvc_mm.datasets import (
    ImageFolderDataset,
    VideoFramesDataset,
    seed_worker,
)
from hvc_mm.datasets.pretrain_images import read_frame_ranges, split_evenly
from hvc_mm.registry import DATASETS
from hvc_mm.utils.outputs import dataset_inputs

PIPELINE = [
    dict(type='hvc_mm.LoadPretrainImage'),
    dict(type='hvc_mm.PairedRandomResizedCrop', size=16),
    dict(type='hvc_mm.PackPairedViews'),
]


@pytest.fixture
def folder(tmp_path, photo):
    root = tmp_path / 'photos'
    for name in ('b.jpg', 'a.PNG', 'c.jpeg', 'sub/d.jpg', 'sub/e.png'):
        photo(root / name)
    (root / 'notes.txt').write_text('no image')
    # As a copy from a Mac has them, next to the images.
    (root / '._b.jpg').write_bytes(b'\0\5\x16\7')
    (root / 'sub/._d.jpg').write_bytes(b'\0\5\x16\7')
    return root


def _names(**kwargs):
    dataset = ImageFolderDataset(**kwargs)
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    return [Path(info['img_path']).name for info in infos]


@pytest.mark.parametrize(
    'kwargs, names',
    [
        ({}, 'a.PNG b.jpg c.jpeg'),
        (dict(recursive=True), 'a.PNG b.jpg c.jpeg d.jpg e.png'),
        (dict(sources='*.jp*g'), 'b.jpg c.jpeg'),
        (dict(sources='**/*.jpg'), 'b.jpg d.jpg'),
        # Folders that a pattern matches are read as folders.
        (dict(sources='s*'), 'd.jpg e.png'),
        (dict(sources=['sub', 'b.jpg', '*.jpg']), 'd.jpg e.png b.jpg'),
        (dict(suffixes=['.png']), 'a.PNG'),
        # The first place that exists is read.
        (dict(any_of=['gone', 'sub', '.']), 'd.jpg e.png'),
        (dict(any_of=['gone', '*.jpeg']), 'c.jpeg'),
    ],
)
def test_images_of_folders_patterns_and_files(folder, kwargs, names):
    assert _names(data_root=str(folder), **kwargs) == names.split()
    if 'any_of' not in kwargs:
        sources = kwargs.get('sources', '')
        sources = [sources] if isinstance(sources, str) else sources
        absolute = [str(folder / source) for source in sources]
        assert _names(**{**kwargs, 'sources': absolute}) == names.split()


def test_a_link_that_leads_back_is_followed_once(folder):
    names = _names(data_root=str(folder), recursive=True)
    (folder / 'sub/again').symlink_to(folder)
    assert _names(data_root=str(folder), recursive=True) == names


def test_a_folder_may_be_named_like_a_pattern(tmp_path, photo):
    photo(tmp_path / 'set [1]' / 'x.jpg')
    assert _names(data_root=str(tmp_path / 'set [1]')) == ['x.jpg']


@pytest.mark.parametrize(
    'kwargs, error, message',
    [
        (dict(data_root='absent'), FileNotFoundError, 'no such.*absent'),
        (dict(sources='*.gif'), FileNotFoundError, r'nothing matches .*\.gif'),
        (dict(sources='*.txt'), ValueError, r'no image in .*\*\.txt'),
        (dict(sources='void'), ValueError, 'no image in .*void; expe.*jpg'),
        (dict(sources='deep'), ValueError, 'subfolders: set recursive=True'),
        # One bad source among good ones is no silence.
        (dict(sources=['.', 'absent']), FileNotFoundError, 'absent'),
        (
            dict(any_of=['gone', 'lost']),
            FileNotFoundError,
            'gone.*lost.*HVC_DATA_ROOT',
        ),
        # A place that is there but empty is no reason to look elsewhere.
        (dict(any_of=['void', 'sub']), ValueError, 'no image in .*void'),
        (dict(data_root=''), ValueError, 'no sources'),
    ],
)
def test_wrong_sources_are_named(folder, kwargs, error, message):
    (folder / 'void').mkdir()
    (folder / 'deep/er').mkdir(parents=True)
    with pytest.raises(error, match=message):
        ImageFolderDataset(**{'data_root': str(folder), **kwargs})


def test_broken_images_are_replaced_and_counted(folder):
    data = (folder / 'b.jpg').read_bytes()
    (folder / 'b.jpg').write_bytes(data[: len(data) // 2])
    (folder / 'c.jpeg').write_bytes(b'')
    cfg = dict(type='hvc_mm.ImageFolderDataset', data_root=str(folder))
    dataset = DATASETS.build(dict(cfg, pipeline=PIPELINE))
    loader = DataLoader(
        dataset, batch_size=3, num_workers=2, collate_fn=default_collate
    )
    batch = next(iter(loader))
    assert [tuple(v.shape) for v in batch['inputs']] == [(3, 3, 16, 16)] * 2
    assert all(v.dtype == torch.uint8 for v in batch['inputs'])
    samples = batch['data_samples']
    assert {Path(s.img_path).name for s in samples} == {'a.PNG'}
    box = samples[0].box1
    assert box.shape == (4,) and box.dtype == np.float32
    # Workers count where the main process sees it.
    assert dataset.pipeline.transforms[0].num_skipped >= 2
    (folder / 'a.PNG').write_bytes(b'')
    dataset.max_refetch = 20
    with pytest.raises(Exception, match='valid image after 20'):
        dataset[0]


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


def test_frames_of_a_part_are_equally_likely_and_repeat_with_the_seed(root):
    dataset = VideoFramesDataset('ytvos.csv', str(root), max_per_video=4)
    np.random.seed(0)
    epochs = [_epoch(dataset) for _ in range(400)]
    draws = Counter(epoch[0] for epoch in epochs)
    assert set(draws) == {('a', f'{i:05d}') for i in range(3)}
    assert min(draws.values()) > 100
    np.random.seed(0)
    assert _epoch(dataset) == epochs[0] != epochs[1]
    # The paper's number.
    assert VideoFramesDataset('', str(root)).max_per_video == 80


def test_lists_may_have_a_heading_and_empty_videos(tmp_path):
    path = tmp_path / 'list.csv'
    path.write_text('name, first, frames\na, 0, 3\n\nb,2,0\nc , 1, 2\n')
    assert read_frame_ranges(str(path)) == dict(a=range(3), c=range(1, 3))
    path.write_text('"my clip","0","3"\r\n', 'utf-16')
    assert read_frame_ranges(str(path)) == {'my clip': range(3)}


def test_inputs_are_what_the_data_sets_read(folder, root):
    def inputs(*sources):
        dataset = ImageFolderDataset(sources, str(folder))
        found = dataset_inputs(dataset)
        return [path[len(str(folder)) :] for path in found]

    assert inputs('sub', 'b.jpg') == ['', '/sub']
    assert inputs('**/*.jpg') == ['', '/sub']
    frames = VideoFramesDataset('ytvos.csv', str(root))
    paths = [str(root / name) for name in ('JPEGImages', 'ytvos.csv')]
    assert sorted(dataset_inputs(frames)) == paths


@pytest.mark.parametrize(
    'text, error, message',
    [
        (None, FileNotFoundError, r'no list .*ytvos\.csv'),
        ('a,0,12\nb;7;3\n', ValueError, r"line 2: found 'b;7;3'"),
        ('a,0,12\nd,0,3\n', FileNotFoundError, r'd/00000\.jpg \(1 of 2 video'),
        ('', ValueError, 'no video'),
        ('a,0.0,12.0\n', ValueError, "line 1: found 'a,0.0,12.0'"),
        ('../a,0,12\n', ValueError, r'csv, line 1: .* no name below'),
    ],
)
def test_bad_lists_of_frames_are_named(root, text, error, message):
    if text is None:
        (root / 'ytvos.csv').unlink()
    else:
        (root / 'ytvos.csv').write_text(text)
    with pytest.raises(error, match=message):
        VideoFramesDataset('ytvos.csv', str(root))


def test_bad_folders_of_videos_are_named(root):
    with pytest.raises(FileNotFoundError, match='absent.*HVC_DATA_ROOT'):
        VideoFramesDataset('', str(root / 'absent'))
    with pytest.raises(ValueError, match='max_per_video'):
        VideoFramesDataset('', str(root), max_per_video=0)


@pytest.mark.parametrize('count', [1, 5, 79, 80, 81, 200])
def test_parts_are_even_and_complete(count):
    parts = split_evenly(range(count), 80)
    assert len(parts) == min(count, 80)
    assert [i for part in parts for i in part] == list(range(count))
    lengths = [len(part) for part in parts]
    assert max(lengths) - min(lengths) <= 1


class Draws(Dataset):
    """Items are random numbers of all three generators."""

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return _draw()


def _draw():
    return (
        np.random.randint(1 << 30),
        random.randrange(1 << 30),
        int(torch.randint(1 << 30, ())),
    )


def test_an_epoch_repeats_exactly_and_others_differ():
    loader = DataLoader(
        Draws(), batch_size=None, num_workers=2, worker_init_fn=seed_worker
    )
    epochs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        epochs.append([tuple(map(int, item)) for item in loader])
    first, again, other = epochs
    assert first == again
    # Neither do the two workers of one epoch draw the same.
    for numbers, others in zip(zip(*first), zip(*other)):
        assert len({*numbers, *others}) == 16


def test_ranks_differ_for_one_torch_seed(monkeypatch):
    drawn = []
    for rank in ('0', '1'):
        monkeypatch.setenv('RANK', rank)
        torch.manual_seed(3)
        seed_worker(0)
        drawn.append(_draw())
    assert all(one != other for one, other in zip(*drawn))


def test_found_by_name_from_other_projects():
    assert ROOT_FUNCTIONS.get('hvc_mm.seed_worker') is seed_worker
