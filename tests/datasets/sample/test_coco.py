"""The COCO layout as pycocotools and MMDetection read it."""

import json

import cv2
import numpy as np
import pytest

from hvc_mm.datasets.sample.coco import coco_categories


@pytest.fixture(scope='module')
def annotations(sample):
    path = sample / 'coco/annotations/instances_train2017.json'
    return json.loads(path.read_text())


def test_categories_are_cocos():
    ids = coco_categories()
    assert len(ids) == 80
    assert (ids['person'], ids['toothbrush']) == (1, 90)
    # Known pairs on both sides of gaps in the ids.
    known = {'stop sign': 13, 'umbrella': 28, 'handbag': 31, 'wine glass': 46}
    known.update({'cup': 47, 'dining table': 67, 'tv': 72, 'book': 84})
    assert {name: ids[name] for name in known} == known


def test_categories_equal_those_of_a_real_file(shared_dir):
    path = shared_dir / 'data/coco128/annotations/instances_train2017.json'
    real = json.loads(path.read_text())['categories']
    assert {c['name']: c['id'] for c in real} == coco_categories()


def test_images_are_there_in_their_size(sample, spec, annotations):
    files = sorted(p.name for p in (sample / 'coco/train2017').iterdir())
    assert files == [image['file_name'] for image in annotations['images']]
    assert len(files) == spec.images
    assert files[0] == '000000000001.jpg'
    for image in annotations['images']:
        pixels = cv2.imread(
            str(sample / 'coco/train2017' / image['file_name'])
        )
        assert pixels.shape == (image['height'], image['width'], 3)


def test_some_images_have_no_objects(annotations):
    annotated = {a['image_id'] for a in annotations['annotations']}
    everything = {image['id'] for image in annotations['images']}
    assert annotated < everything and annotated


def test_masks_of_pycocotools_have_the_areas_and_boxes(sample):
    coco_api = pytest.importorskip('pycocotools.coco')
    coco = coco_api.COCO(
        str(sample / 'coco/annotations/instances_train2017.json')
    )
    assert len(coco.anns) > 10
    for annotation in coco.anns.values():
        mask = coco.annToMask(annotation)
        around = np.abs(
            np.diff(np.array(annotation['segmentation'][0]).reshape(-1, 2))
        )
        assert np.isfinite(around).all()
        assert mask.sum() == pytest.approx(
            annotation['area'], rel=0.05, abs=40
        )
        x, y, w, h = annotation['bbox']
        rows, columns = np.nonzero(mask)
        seen = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert np.allclose(seen, (x, y, x + w, y + h), atol=2.5)


@pytest.mark.mmdet
def test_mmdet_reads_it(sample, annotations):
    from mmdet.datasets import CocoDataset

    dataset = CocoDataset(
        data_root=str(sample / 'coco'),
        ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017/'),
        filter_cfg=None,
        pipeline=[],
    )
    assert len(dataset) == len(annotations['images'])
    total = sum(len(dataset.get_data_info(i)['instances']) for i in range(24))
    assert total == len(annotations['annotations'])
