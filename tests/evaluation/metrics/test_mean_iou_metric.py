"""MeanIoUMetric: VIP's numbers over all frames and videos."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from hvc_mm.evaluation import MeanIoUMetric
from hvc_mm.registry import METRICS


@pytest.mark.parametrize('workers', [0, 1])
def test_golden(golden_dir, make_video, score, tmp_path, workers):
    data = np.load(golden_dir / 'vip_metric.npz')
    cfg = dict(type='MeanIoUMetric', num_workers=workers, chunk_frames=2)
    metric = METRICS.build({**cfg, 'results_dir': str(tmp_path)})
    # Split over two videos: the matrix is over all of them.
    found = score(
        metric,
        make_video('a', data['gt'][:1], data['pred'][:1]),
        make_video('b', data['gt'][1:], data['pred'][1:]),
    )
    keys = ['mIoU', 'mean_accuracy', 'overall_accuracy']
    assert list(found) == [f'vip/{key}' for key in keys]
    for key in keys:
        assert found[f'vip/{key}'] == pytest.approx(100 * data[key], abs=1e-9)
    saved = json.loads((tmp_path / 'vip/results.json').read_text())
    iou = [np.nan if v is None else v for v in saved['IoU'].values()]
    np.testing.assert_allclose(iou, 100 * data['iou'], atol=1e-9, rtol=0)


def test_void_is_ignored(make_video, score):
    gt = np.array([[[0, 1], [2, 255]]], np.uint8)
    pred = np.array([[[0, 1], [1, 1]]], np.uint8)
    found = score(MeanIoUMetric(3, num_workers=0), make_video('v', gt, pred))
    assert found['vip/mIoU'] == pytest.approx(100 * (1 + 0.5 + 0) / 3)


def test_table_with_names(make_video, score, tmp_path, logged):
    gt = np.array([[[0, 1]]], np.uint8)
    folder = tmp_path / 'masks'
    metric = MeanIoUMetric(
        3, num_workers=0, per_sequence=True, out_dir=str(folder)
    )
    names = ['background', 'hat', 'coat']
    metric.dataset_meta = {'classes': names}
    score(metric, make_video('v', gt, gt))
    assert any('coat' in message and 'nan' in message for message in logged)
    (videos,) = [m for m in logged if 'Videos' in m]
    assert '100.0' in videos
    assert (folder / 'v/00000.png').is_file()
    with open(tmp_path / 'masks_scores/vip/results.csv') as file:
        rows = list(csv.reader(file))
    assert rows[0] == ['part', 'IoU', 'accuracy']
    assert [row[0] for row in rows[1:]] == [*names, 'mean']


def test_names_must_be_as_many_as_classes(make_video, score):
    with pytest.raises(ValueError, match='2 names for 20 classes'):
        MeanIoUMetric(class_names=['a', 'b'])
    gt = np.zeros((1, 2, 2), np.uint8)
    metric = MeanIoUMetric(num_workers=0)
    metric.dataset_meta = {'classes': ['a']}
    with pytest.raises(ValueError, match='1 names for 20 classes'):
        score(metric, make_video('v', gt, gt))


def test_bad_frames(make_video, score):
    gt, pred = np.zeros((2, 3, 4, 6), np.uint8)
    pred[1] = 25
    with pytest.raises(ValueError, match='v/00001: predicted ids.*25'):
        score(MeanIoUMetric(num_workers=0), make_video('v', gt, pred))
    with pytest.raises(ValueError, match=r'w/00001\.png holds the id 25.*19'):
        score(MeanIoUMetric(num_workers=0), make_video('w', pred, gt))
    video = make_video('x', gt, gt, annotated=[0, 2])
    with pytest.raises(ValueError, match='x: frame 00001 has no annotation'):
        score(MeanIoUMetric(num_workers=0), video)
    video = make_video('y', gt, gt)
    Image.fromarray(gt[0, :2]).save(video[1]['gt_path'])
    with pytest.raises(ValueError, match='6x2 pixels; expected 6x4'):
        score(MeanIoUMetric(num_workers=0), video)
