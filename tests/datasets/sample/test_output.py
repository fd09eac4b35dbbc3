"""The sample folder never harms what others put there."""

import json

import cv2
import numpy as np
import pytest

from hvc_mm.datasets.image_io import read_id_mask
from hvc_mm.datasets.sample import SampleFolder, SampleSpec


def write(root, files, layout='coco', force=False):
    with SampleFolder(root, force) as folder:
        folder.begin(layout)
        for name, text in files.items():
            folder.write_text(name, text)
        return folder.finish()


def tree(root):
    return {
        path.relative_to(root).as_posix(): path.read_text()
        for path in root.rglob('*')
        if path.is_file() and path.name != 'sample.json'
    }


def test_writes_and_counts_bytes(tmp_path):
    _, size = write(tmp_path / 'new/folder', {'a/b.txt': 'one', 'c': 'three'})
    assert size == 8
    assert tree(tmp_path / 'new/folder') == {'a/b.txt': 'one', 'c': 'three'}


def test_refuses_a_folder_that_is_not_empty(tmp_path):
    (tmp_path / 'thesis.txt').write_text('mine')
    with pytest.raises(FileExistsError, match='thesis.txt.*--force'):
        SampleFolder(tmp_path)
    assert tree(tmp_path) == {'thesis.txt': 'mine'}


def test_refuses_a_file(tmp_path):
    (tmp_path / 'data').write_text('mine')
    with pytest.raises(NotADirectoryError, match='is a file'):
        SampleFolder(tmp_path / 'data')


def test_force_writes_beside(tmp_path):
    (tmp_path / 'thesis.txt').write_text('mine')
    write(tmp_path, {'a': 'new'}, force=True)
    assert tree(tmp_path) == {'thesis.txt': 'mine', 'a': 'new'}


def test_force_never_overwrites_what_others_wrote(tmp_path):
    (tmp_path / 'coco').mkdir()
    (tmp_path / 'coco/real.json').write_text('the real data set')
    with pytest.raises(FileExistsError, match='real.json exists'):
        write(tmp_path, {'a': '1', 'coco/real.json': 'toy'}, force=True)
    assert tree(tmp_path)['coco/real.json'] == 'the real data set'
    # What was written before the error is known as ours: it may go.
    write(tmp_path, {'a': '2'}, force=True)
    assert tree(tmp_path)['a'] == '2'


def test_force_replaces_an_earlier_sample_layout_by_layout(tmp_path):
    write(tmp_path, {'x/1': 'old', 'x/2': 'old', 'y/z/3': 'old'})
    write(tmp_path, {'d': 'davis'}, layout='davis', force=True)
    (tmp_path / 'x/foreign').write_text('mine')
    write(tmp_path, {'x/1': 'new'}, force=True)
    assert tree(tmp_path) == {'x/1': 'new', 'x/foreign': 'mine', 'd': 'davis'}
    assert not (tmp_path / 'y').exists()
    listed = json.loads((tmp_path / 'sample.json').read_text())['layouts']
    assert listed == {'coco': ['x/1'], 'davis': ['d']}


def test_an_unreadable_list_is_an_error(tmp_path):
    (tmp_path / 'sample.json').write_text('{"layouts": ')
    with pytest.raises(ValueError, match='sample.json is no list'):
        SampleFolder(tmp_path, force=True)


def test_images_and_masks(tmp_path):
    rng = np.random.default_rng(0)
    image = np.full((20, 30, 3), (10, 100, 200), np.uint8)
    ids = rng.integers(0, 4, (20, 30), dtype=np.uint8)
    with SampleFolder(tmp_path) as folder:
        folder.begin('davis')
        folder.write_image('f/0.jpg', image)
        folder.write_image('f/0.png', image)
        folder.write_ids('m/0.png', ids)
        _, size = folder.finish()
    jpeg = cv2.imread(str(tmp_path / 'f/0.jpg')).astype(int)
    assert np.abs(jpeg - image).max() <= 3
    assert np.array_equal(cv2.imread(str(tmp_path / 'f/0.png')), image)
    assert np.array_equal(read_id_mask(tmp_path / 'm/0.png'), ids)
    assert size == sum(p.stat().st_size for p in tmp_path.glob('*/0.*'))


@pytest.mark.parametrize(
    'wrong',
    [
        dict(seed=-1),
        dict(videos=0),
        dict(frames=0),
        dict(images=0),
        dict(size=(47, 100)),
        dict(size=(100,)),
    ],
)
def test_spec_out_of_range(wrong):
    with pytest.raises(ValueError, match=f'{next(iter(wrong))} is .*expected'):
        SampleSpec(**wrong)
