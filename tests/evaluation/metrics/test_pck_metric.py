"""PCKMetric: JHMDB's numbers, from joints that come frame by frame."""

import csv
import json

import numpy as np
import pytest
import torch

from hvc_mm.evaluation import PCKMetric
from hvc_mm.models.vos import JointCodec
from hvc_mm.registry import METRICS
from hvc_mm.structures import VOSDataSample


def _clip(name, gt, cells, size, annotated=None):
    """Samples of a clip; ``cells`` of a grid of 40, -1 for a lost joint."""
    scale = np.array(size[::-1]).reshape(2, 1, 1) / 40
    pixels = np.where(cells < 0, -1, cells * scale)
    samples = []
    for t in range(gt.shape[2]):
        known = annotated is None or t in annotated
        meta = dict(
            video=name,
            frame_index=t,
            frame_name=f'{t + 1:05d}',
            video_length=gt.shape[2],
            ori_shape=tuple(size),
            gt_joints=gt[:, :, t] if known else None,
        )
        sample = VOSDataSample(metainfo=meta)
        sample.pred_joints = torch.from_numpy(pixels[:, :, t])
        samples.append(sample.to_dict())
    return samples


def _random_clip(seed=0, frames=4, **kwargs):
    rng = np.random.default_rng(seed)
    gt = rng.uniform(0, 200, (2, 15, frames))
    cells = np.abs(gt * (40 / 200) + rng.normal(0, 1.5, gt.shape))
    return _clip('clip', gt, cells, (200, 200), **kwargs)


def test_golden(golden_dir, score, tmp_path):
    data = np.load(golden_dir / 'jhmdb_metric.npz')
    keys = ('gt', 'pred_feature', 'size')
    clips = [
        _clip(f'class/clip{i}', *[data[f'{key}_{i}'] for key in keys])
        for i in range(3)
    ]
    cfg = dict(type='PCKMetric', out_dir=str(tmp_path / 'j'))
    found = score(METRICS.build(cfg), *clips)
    assert list(found) == [f'jhmdb/PCK@0.{i}' for i in range(1, 6)]
    close = dict(atol=1e-9, rtol=0)
    np.testing.assert_allclose(list(found.values()), data['pck'], **close)
    # Files are in cells, as they were before joints came in pixels.
    written = np.load(tmp_path / 'j/class/clip1.npy')
    np.testing.assert_allclose(written, data['pred_feature_1'], **close)
    path = tmp_path / 'j_scores/jhmdb/videos/class/clip2.json'
    saved = json.loads(path.read_text())
    np.testing.assert_array_equal(saved['gt'], data['gt_2'])
    assert saved['grid'] == 40


@pytest.mark.parametrize('stride', [4, 8, 16])
def test_any_stride_of_the_network(score, stride):
    """A perfect tracker is right whatever the network's own grid is."""
    gt = np.random.default_rng(0).uniform(60, 260, (2, 15, 5))
    clip = _clip('clip', gt, gt / 8, (320, 320))
    codec = JointCodec()
    for t, frame in enumerate(clip):
        sample = VOSDataSample(metainfo={'ori_shape': (320, 320)})
        sample.prompt_joints = torch.from_numpy(gt[:, :, t])
        maps = codec.encode(sample, (320 // stride, 320 // stride))
        codec.decode(maps, sample)
        frame['pred_joints'] = sample.pred_joints
    assert score(PCKMetric(), clip)['jhmdb/PCK@0.2'] == 100


def test_the_grid_of_the_metric_does_not_matter(score):
    clip = _random_clip()
    expected = score(PCKMetric(), clip)
    assert 0 < expected['jhmdb/PCK@0.1'] < 100
    assert score(PCKMetric(grid=7), clip) == pytest.approx(expected)


@pytest.mark.parametrize('grid', [{}, {'grid': 40}])
def test_results_of_another_grid_are_refused(grid):
    metric = PCKMetric(grid=20)
    metric.process(None, _random_clip())
    assert metric.results[0].pop('grid') == 20
    metric.results[0].update(grid)
    with pytest.raises(ValueError, match='clip: .*grid of.*expected 20'):
        metric.evaluate(4)


def test_frames_without_ground_truth_do_not_count(score):
    whole = _random_clip(0, 6)
    found = score(PCKMetric(), _random_clip(0, 6, annotated=range(4)))
    cut = [dict(sample, video_length=4) for sample in whole[:4]]
    assert found == score(PCKMetric(), cut) != score(PCKMetric(), whole)


def test_table_per_joint(score, tmp_path, logged):
    metric = PCKMetric(
        thresholds=(0.1,), per_sequence=True, results_dir=str(tmp_path)
    )
    metric.dataset_meta = {'joints': [f'joint{i}' for i in range(15)]}
    found = score(metric, _random_clip(1))
    assert any('joint14' in message for message in logged)
    (clips,) = [m for m in logged if 'Clips' in m]
    assert f'{found["jhmdb/PCK@0.1"]:.1f}' in clips
    with open(tmp_path / 'jhmdb/results.csv') as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 16 and rows[-1]['joint'] == 'mean'
    values = [float(row['PCK@0.1']) for row in rows]
    assert np.mean(values[:15]) == pytest.approx(values[15])
    assert values[15] == pytest.approx(found['jhmdb/PCK@0.1'])


def test_format_only(score, tmp_path):
    clip = _random_clip(2, annotated=[])
    metric = PCKMetric(out_dir=str(tmp_path), format_only=True)
    assert score(metric, clip) == {}
    assert np.load(tmp_path / 'clip.npy').shape == (2, 15, 4)


@pytest.mark.parametrize(
    'change, message',
    [
        ({'gt_joints': np.zeros((2, 14))}, r'gt_joints.*\(2, 14\)'),
        ({'pred_joints': np.zeros((2, 14))}, r'pred_joints.*\(2, 14\)'),
        ({'pred_joints': None}, 'the model gave no pred_joints'),
        ({'ori_shape': (100, 200)}, r'has \(100, 200\) pixels'),
    ],
)
def test_bad_frames(score, change, message):
    clip = _random_clip(3)
    clip[2].update(change)
    with pytest.raises(ValueError, match=f'clip/00003.*{message}'):
        score(PCKMetric(), clip)


def test_workers_make_no_difference(score):
    clip = _random_clip(4)
    assert score(PCKMetric(num_workers=0), clip) == score(PCKMetric(), clip)


def test_missing_annotations_and_wrong_options(score):
    with pytest.raises(ValueError, match='00001: the first frame'):
        score(PCKMetric(), _random_clip(4, annotated=[1, 2]))
    with pytest.raises(ValueError, match=r'clip has 1 annotated frame\(s\)'):
        score(PCKMetric(), _random_clip(4, annotated=[0]))
    with pytest.raises(ValueError, match='format_only needs out_dir'):
        PCKMetric(format_only=True)
    with pytest.raises(ValueError, match='2 names for 15 joints'):
        PCKMetric(joint_names=['a', 'b'])


def test_joints_on_a_full_disk(score, tmp_path, file_limit):
    metric = PCKMetric(out_dir=str(tmp_path / 'out'), format_only=True)
    with file_limit(200), pytest.raises(OSError, match=r'out/clip\.npy'):
        score(metric, _random_clip(2))
    assert not list((tmp_path / 'out').iterdir())
