"""MeanIoUMetric: VIP's numbers over all frames and videos."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from hvc_mm.evaluation import MeanIoUMetric
from hvc_mm.registry import METRICS


def _score(metric, *videos):
    for video in videos:
        metric.process(None, video)
    return metric.evaluate(sum(map(len, videos)))


@pytest.mark.parametrize('workers', [0, 1])
def test_reference(golden_dir, make_video, tmp_path, workers):
    data = np.load(golden_dir / 'vip_metric.npz')
    metric = METRICS.build(
        {
            'type': 'MeanIoUMetric',
            'num_workers': workers,
            'chunk_frames': 2,
            'results_dir': str(tmp_path / 'scores'),
        }
    )
    # Split over two videos: the matrix is over all of them.
    found = _score(
        metric,
        make_video('a', data['gt'][:1], data['pred'][:1]),
        make_video('b', data['gt'][1:], data['pred'][1:]),
    )
    assert list(found) == [
        'vip/mIoU',
        'vip/mean_accuracy',
        'vip/overall_accuracy',
    ]
    for key, value in found.items():
        assert value == pytest.approx(100 * data[key[4:]], abs=1e-9)
    saved = json.loads((tmp_path / 'scores/vip/results.json').read_text())
    iou = [np.nan if v is None else v for v in saved['IoU'].values()]
    np.testing.assert_allclose(iou, 100 * data['iou'], atol=1e-9, rtol=0)


def test_void_is_ignored_and_other_ids_are_an_error(make_video):
    gt = np.array([[[0, 1], [2, 255]]], np.uint8)
    pred = np.array([[[0, 1], [1, 1]]], np.uint8)
    found = _score(MeanIoUMetric(3, num_workers=0), make_video('v', gt, pred))
    assert found['vip/mIoU'] == pytest.approx(50)
    gt[0, 0, 0] = 25
    video = make_video('w', gt, pred)
    with pytest.raises(ValueError, match=r'w/00000\.png holds the id 25'):
        _score(MeanIoUMetric(num_workers=0), video)


def test_table_with_names(make_video, tmp_path, logged):
    gt = np.array([[[0, 1]]], np.uint8)
    metric = MeanIoUMetric(
        3,
        num_workers=0,
        per_sequence=True,
        out_dir=str(tmp_path / 'masks'),
    )
    metric.dataset_meta = {'classes': ('background', 'hat', 'coat')}
    _score(metric, make_video('v', gt, gt))
    assert any('coat' in message and 'nan' in message for message in logged)
    (videos,) = [m for m in logged if 'Videos' in m]
    assert '100.0' in videos
    assert (tmp_path / 'masks/v/00000.png').is_file()
    with open(tmp_path / 'masks_scores/vip/results.csv') as file:
        rows = list(csv.reader(file))
    assert rows[0] == ['part', 'IoU', 'accuracy']
    assert [row[0] for row in rows[1:]] == [
        'background',
        'hat',
        'coat',
        'mean',
    ]


def test_names_must_be_as_many_as_classes(make_video):
    with pytest.raises(ValueError, match='2 class names for 20'):
        MeanIoUMetric(class_names=['a', 'b'])
    gt = np.zeros((1, 2, 2), np.uint8)
    metric = MeanIoUMetric(num_workers=0)
    metric.dataset_meta = {'classes': ['a']}
    with pytest.raises(ValueError, match='1 class names for 20'):
        _score(metric, make_video('v', gt, gt))


def test_every_frame_needs_an_annotation(make_video):
    gt = np.zeros((3, 2, 2), np.uint8)
    video = make_video('v', gt, gt, annotated=[0, 2])
    with pytest.raises(ValueError, match='v: frame 00001 has no annotation'):
        _score(MeanIoUMetric(num_workers=0), video)
    with pytest.raises(ValueError, match='no video came'):
        MeanIoUMetric(num_workers=0).evaluate(0)


def test_an_annotation_of_another_size(make_video):
    gt = np.zeros((1, 4, 6), np.uint8)
    video = make_video('v', gt, gt)
    Image.fromarray(gt[0, :2]).save(video[0]['gt_path'])
    with pytest.raises(ValueError, match=r'\(4, 6\).*\(2, 6\)'):
        _score(MeanIoUMetric(num_workers=0), video)
