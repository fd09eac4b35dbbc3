"""COCO's json: its images only, and all of them."""

import json
from pathlib import Path

import pytest
import torch
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from hvc_mm.datasets import CocoImagesDataset
from hvc_mm.engine.run_config import read_config
from hvc_mm.utils.outputs import dataset_inputs

TYPES = [
    'CocoImagesDataset',
    pytest.param('mmdet.CocoDataset', marks=pytest.mark.mmdet),
]


@pytest.fixture(params=TYPES)
def loader(request, tmp_path, photo, root_dir):
    """The base config's loader on four images, one of them truncated."""
    if request.param.startswith('mmdet'):
        pytest.importorskip('mmdet.datasets')
    folder = tmp_path / 'coco' / 'train2017'
    for index in range(4):
        photo(folder / f'{index}.jpg', seed=index)
    broken = folder / '3.jpg'
    broken.write_bytes(broken.read_bytes()[:300])
    images = [
        dict(id=i, file_name=f'{i}.jpg', height=24, width=32) for i in range(4)
    ]
    polygon = [[1, 1, 6, 1, 6, 6]]
    box = dict(category_id=1, bbox=[1, 1, 5, 5], area=25, iscrowd=0)
    # Images 1 and 2 have none.
    annotations = [
        dict(id=i, image_id=i, segmentation=polygon, **box) for i in (0, 3)
    ]
    content = dict(images=images, annotations=annotations)
    content['categories'] = [dict(id=1, name='person')]
    path = tmp_path / 'coco/annotations/instances_train2017.json'
    path.parent.mkdir()
    path.write_text(json.dumps(content))
    options = {'data_root': str(tmp_path), 'train_dataloader.batch_size': 4}
    options['train_dataloader.num_workers'] = 2
    options['train_dataloader.dataset.type'] = request.param
    config = root_dir / 'configs/_base_/datasets/coco_paired.py'
    cfg = read_config(config, options)
    with DefaultScope.overwrite_default_scope('hvc_mm'):
        yield Runner.build_dataloader(cfg.train_dataloader, seed=0)


def test_all_whole_images_are_used_and_an_epoch_repeats(loader):
    assert len(loader.dataset) == 4
    seen, batches = set(), []
    for seed in (7, 8, 9, 7):
        torch.manual_seed(seed)
        (batch,) = list(loader)
        assert [v.shape for v in batch['inputs']] == [(4, 3, 256, 256)] * 2
        seen |= {Path(s.img_path).name for s in batch['data_samples']}
        batches.append(batch['inputs'])
    assert seen == {'0.jpg', '1.jpg', '2.jpg'}
    assert loader.dataset.pipeline.transforms[0].num_skipped >= 4
    for one, other in zip(batches[0], batches[-1]):
        assert torch.equal(one, other)


@pytest.fixture
def read(tmp_path, photo):
    """Write a json next to two images; return the names that are read."""
    for name in ('a.jpg', 'b.jpg'):
        photo(tmp_path / 'images' / name)

    def run(content):
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
        (tmp_path / 'coco.json').write_bytes(content)
        dataset = CocoImagesDataset(
            'coco.json', str(tmp_path), dict(img='images')
        )
        infos = [dataset.get_data_info(i) for i in range(len(dataset))]
        assert sorted(dataset_inputs(dataset)) == [
            str(tmp_path / 'coco.json'),
            str(tmp_path / 'images'),
        ]
        return [Path(info['img_path']).name for info in infos]

    return run


IMAGES = dict(images=[dict(file_name='b.jpg'), dict(file_name='a.jpg')])


@pytest.mark.parametrize(
    'more',
    [
        {},
        dict(annotations=[]),
        dict(annotations=[dict(id=1, image_id=99, bbox=None)] * 2),
        dict(annotations=[dict(image_id=0, caption='x')], categories=None),
        dict(images=IMAGES['images'] * 2),  # each is taken once
    ],
)
def test_annotations_are_never_read(read, more):
    assert read({**IMAGES, **more}) == ['b.jpg', 'a.jpg']


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'utf-16'])
def test_marks_of_editors(read, encoding):
    assert len(read(json.dumps(IMAGES).encode(encoding))) == 2


def _named(name):
    return dict(images=[dict(file_name=name)])


@pytest.mark.parametrize(
    'content, message',
    [
        (b'', r'cannot read .*coco\.json: Expecting value'),
        (b'\xff\xd8', r'coco\.json is no text'),
        (b'[' * 100000, r'cannot read .*coco\.json: .*recursion'),
        ([1], r'coco\.json lists no images, but \[1\]; expected'),
        ({}, r'coco\.json lists no images, but None'),
        (dict(images=[]), r'lists no images, but \[\]'),
        (dict(images={'0': 'a.jpg'}), 'lists no images'),
        (dict(images=['a.jpg']), r"images\[0\] has no file_name, but 'a.jpg'"),
        (_named(3), r'images\[0\] has no file_name'),
        (_named(''), r'coco\.json: images\[0\]: .* no name below'),
        (_named('../a.jpg'), r'images\[0\]: .* no name below its folder'),
        (_named('/a.jpg'), r'images\[0\]: .* no name below its folder'),
        (_named('images/a.jpg'), r'no image .*images/images/a\.jpg, nor any'),
    ],
)
def test_what_is_no_list_of_images_is_named(read, content, message):
    with pytest.raises((ValueError, OSError), match=message):
        read(content)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='no folder .*gone.*HVC_DATA'):
        CocoImagesDataset('gone.json', str(tmp_path), dict(img='gone'))
    with pytest.raises(FileNotFoundError, match=r'no file .*gone\.json'):
        CocoImagesDataset('gone.json', str(tmp_path))
