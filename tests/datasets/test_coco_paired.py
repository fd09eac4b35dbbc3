"""COCO through MMDetection's data set: images only, and all of them."""

import json
from pathlib import Path

import pytest
import torch
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from hvc_mm.engine.run_config import read_config

pytestmark = pytest.mark.mmdet


@pytest.fixture
def loader(tmp_path, photo, root_dir):
    """The base config's loader on four images, one of them truncated."""
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
