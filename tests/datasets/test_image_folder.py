"""Folders of images: what is found, in which order, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.dataset import default_collate
from torch.utils.data import DataLoader

from hvc_mm.datasets import ImageFolderDataset
from hvc_mm.registry import DATASETS

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
    return root


def _names(**kwargs):
    dataset = ImageFolderDataset(**kwargs)
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    return [Path(info['img_path']).name for info in infos]


def test_a_folder_is_read_in_sorted_order(folder):
    assert _names(data_root=str(folder)) == ['a.PNG', 'b.jpg', 'c.jpeg']
    everything = ['a.PNG', 'b.jpg', 'c.jpeg', 'd.jpg', 'e.png']
    assert _names(data_root=str(folder), recursive=True) == everything


def test_globs_files_and_lists_of_them(folder):
    root = str(folder)
    assert _names(sources=f'{root}/*.jp*g') == ['b.jpg', 'c.jpeg']
    assert _names(sources='**/*.jpg', data_root=root) == ['b.jpg', 'd.jpg']
    # Folders that a pattern matches are read as folders.
    assert _names(sources='s*', data_root=root) == ['d.jpg', 'e.png']
    several = ['sub', 'b.jpg', '*.jpg']
    assert _names(sources=several, data_root=root) == [
        'd.jpg', 'e.png', 'b.jpg',
    ]  # fmt: skip
    assert _names(data_root=root, suffixes=['.png']) == ['a.PNG']


def test_a_folder_may_be_named_like_a_pattern(tmp_path, photo):
    photo(tmp_path / 'set [1]' / 'x.jpg')
    assert _names(data_root=str(tmp_path / 'set [1]')) == ['x.jpg']


def test_the_first_place_that_exists_is_read(folder):
    root = str(folder)
    assert _names(data_root=root, any_of=['gone', 'sub', '.']) == [
        'd.jpg', 'e.png',
    ]  # fmt: skip
    assert _names(data_root=root, any_of=['gone', '*.jpeg']) == ['c.jpeg']
    with pytest.raises(FileNotFoundError, match='gone.*lost.*HVC_DATA_ROOT'):
        ImageFolderDataset(data_root=root, any_of=['gone', 'lost'])
    # A place that is there but empty is no reason to look elsewhere.
    (folder / 'void').mkdir()
    with pytest.raises(ValueError, match='no image in .*void'):
        ImageFolderDataset(data_root=root, any_of=['void', 'sub'])


def test_wrong_sources_are_named(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match='no such.*absent'):
        ImageFolderDataset(data_root=str(tmp_path / 'absent'))
    with pytest.raises(FileNotFoundError, match=r'nothing matches .*\*\.gif'):
        ImageFolderDataset(data_root=str(folder), sources='*.gif')
    with pytest.raises(ValueError, match=r'no image in .*\*\.txt'):
        ImageFolderDataset(data_root=str(folder), sources='*.txt')
    empty = tmp_path / 'empty'
    empty.mkdir()
    with pytest.raises(ValueError, match='no image in .*empty; expected.*jpg'):
        ImageFolderDataset(data_root=str(empty))
    (empty / 'sub').mkdir()
    with pytest.raises(ValueError, match='subfolders: set recursive=True'):
        ImageFolderDataset(data_root=str(empty))
    with pytest.raises(ValueError, match='no sources'):
        ImageFolderDataset()


def test_one_bad_source_among_good_ones_is_no_silence(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match='absent'):
        ImageFolderDataset(sources=[str(folder), str(tmp_path / 'absent')])


def test_items_make_batches_of_two_views(folder):
    dataset = DATASETS.build(
        dict(
            type='hvc_mm.ImageFolderDataset',
            data_root=str(folder),
            recursive=True,
            pipeline=PIPELINE,
        )
    )
    loader = DataLoader(dataset, batch_size=4, collate_fn=default_collate)
    batch = next(iter(loader))
    assert [tuple(v.shape) for v in batch['inputs']] == [(4, 3, 16, 16)] * 2
    assert all(v.dtype == torch.uint8 for v in batch['inputs'])
    assert len(batch['data_samples']) == 4
    box = batch['data_samples'][0].box1
    assert box.shape == (4,) and box.dtype == np.float32


def test_broken_images_are_replaced_and_counted(folder):
    data = (folder / 'b.jpg').read_bytes()
    (folder / 'b.jpg').write_bytes(data[: len(data) // 2])
    (folder / 'c.jpeg').write_bytes(b'')
    dataset = ImageFolderDataset(data_root=str(folder), pipeline=PIPELINE)
    loader = DataLoader(
        dataset, batch_size=3, num_workers=2, collate_fn=default_collate
    )
    np.random.seed(0)
    batch = next(iter(loader))
    assert {Path(s.img_path).name for s in batch['data_samples']} == {'a.PNG'}
    # Workers count where the main process sees it.
    assert dataset.pipeline.transforms[0].num_skipped >= 2


def test_nothing_but_broken_images_ends_with_an_error(folder):
    for path in folder.iterdir():
        if path.suffix.lower() in ('.jpg', '.png', '.jpeg'):
            path.write_bytes(b'')
    dataset = ImageFolderDataset(
        data_root=str(folder), pipeline=PIPELINE, max_refetch=20
    )
    with pytest.raises(Exception, match='valid image after 20'):
        dataset[0]
