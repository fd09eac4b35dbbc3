"""PCKMetric: JHMDB's numbers, from joints that come frame by frame."""

import csv
import json

import numpy as np
import pytest
import torch

from hvc_mm.evaluation import PCKMetric
from hvc_mm.models.vos.codecs import JointCodec
from hvc_mm.registry import METRICS
from hvc_mm.structures import VOSDataSample

GRID = 40


def _clip(name, gt, cells, size, annotated=None):
    samples = []
    length = cells.shape[2]
    scale = np.array(size[::-1]).reshape(2, 1, 1) / GRID
    pixels = np.where(cells < 0, -1, cells * scale)
    for t in range(length):
        known = annotated is None or t in annotated
        sample = VOSDataSample(
            metainfo={
                'video': name,
                'frame_index': t,
                'frame_name': f'{t + 1:05d}',
                'video_length': length,
                'ori_shape': tuple(size),
                'gt_joints': gt[:, :, t] if known else None,
            }
        )
        sample.pred_joints = torch.from_numpy(pixels[:, :, t])
        samples.append(sample.to_dict())
    return samples


def _clips(golden_dir):
    data = np.load(golden_dir / 'jhmdb_metric.npz')
    clips = [
        _clip(
            f'class/clip{i}',
            data[f'gt_{i}'],
            data[f'pred_feature_{i}'],
            data[f'size_{i}'],
        )
        for i in range(3)
    ]
    return data, clips


def _score(metric, *clips):
    for clip in clips:
        metric.process(None, clip)
    return metric.evaluate(sum(map(len, clips)))


def _random_clip(seed=0, frames=4, **kwargs):
    rng = np.random.default_rng(seed)
    gt = rng.uniform(0, 200, (2, 15, frames))
    cells = gt * (40 / 200) + rng.normal(0, 1.5, gt.shape)
    return _clip(f'clip{seed}', gt, np.abs(cells), (200, 200), **kwargs)


def test_reference(golden_dir, tmp_path):
    data, clips = _clips(golden_dir)
    metric = METRICS.build(
        {'type': 'PCKMetric', 'out_dir': str(tmp_path / 'j')}
    )
    found = _score(metric, *clips)
    assert list(found) == [f'jhmdb/PCK@0.{i}' for i in range(1, 6)]
    np.testing.assert_allclose(
        list(found.values()), data['pck'], atol=1e-9, rtol=0
    )
    written = np.load(tmp_path / 'j/class/clip1.npy')
    np.testing.assert_allclose(written, data['pred_feature_1'], rtol=1e-12)
    saved = json.loads(
        (tmp_path / 'j_scores/jhmdb/videos/class/clip2.json').read_text()
    )
    np.testing.assert_array_equal(saved['gt'], data['gt_2'])


@pytest.mark.parametrize('stride', [4, 8, 16])
def test_any_stride_of_the_network(stride):
    """A perfect tracker is right whatever the network's own grid is."""
    rng = np.random.default_rng(0)
    gt = rng.uniform(60, 260, (2, 15, 5))
    clip = _clip('clip', gt, gt / 8, (320, 320))
    codec = JointCodec()
    for t, frame in enumerate(clip):
        sample = VOSDataSample(metainfo={'ori_shape': (320, 320)})
        sample.prompt_joints = torch.from_numpy(gt[:, :, t])
        maps = codec.encode(sample, (320 // stride, 320 // stride))
        codec.decode(maps, sample)
        frame['pred_joints'] = sample.pred_joints
    assert _score(PCKMetric(), clip)['jhmdb/PCK@0.2'] == 100


def test_joints_of_another_grid_are_refused():
    metric = PCKMetric(grid=20)
    clip = _random_clip()
    metric.process(None, clip)
    (result,) = metric.results
    for grid in ({'grid': 40}, {}):
        metric = PCKMetric(grid=20)
        old = {k: v for k, v in result.items() if k != 'grid'}
        metric.results = [{**old, **grid}]
        with pytest.raises(ValueError, match='clip0.*grid of.*expected 20'):
            metric.evaluate(0)


def test_frames_without_ground_truth_do_not_count():
    whole = _random_clip(0, 6)
    first = _random_clip(0, 6, annotated=range(4))
    cut = [dict(sample, video_length=4) for sample in whole[:4]]
    found = _score(PCKMetric(), first)
    assert found == _score(PCKMetric(), cut)
    assert found != _score(PCKMetric(), whole)


def test_table_per_joint(tmp_path, logged):
    metric = PCKMetric(
        thresholds=(0.1,), per_sequence=True, results_dir=str(tmp_path)
    )
    metric.dataset_meta = {'joints': [f'joint{i}' for i in range(15)]}
    found = _score(metric, _random_clip(1))
    assert any('joint14' in message for message in logged)
    (clips,) = [m for m in logged if 'Clips' in m]
    assert f'{found["jhmdb/PCK@0.1"]:.1f}' in clips
    with open(tmp_path / 'jhmdb/results.csv') as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 16 and rows[-1]['joint'] == 'mean'
    values = [float(row['PCK@0.1']) for row in rows]
    assert np.mean(values[:15]) == pytest.approx(values[15])
    assert values[15] == pytest.approx(found['jhmdb/PCK@0.1'])


def test_format_only(tmp_path):
    clip = _random_clip(2, annotated=[])
    metric = PCKMetric(out_dir=str(tmp_path), format_only=True)
    assert _score(metric, clip) == {}
    assert np.load(tmp_path / 'clip2.npy').shape == (2, 15, 4)


def test_fourteen_joints():
    clip = _random_clip(3)
    clip[1]['gt_joints'] = clip[1]['gt_joints'][:, :14]
    with pytest.raises(ValueError, match=r'clip3/00002: gt_joints.*\(2, 14\)'):
        _score(PCKMetric(), clip)
    clip = _random_clip(3)
    clip[2]['pred_joints'] = clip[2]['pred_joints'][:, :14]
    with pytest.raises(ValueError, match=r'00003: pred_joints.*\(2, 14\)'):
        _score(PCKMetric(), clip)


def test_other_bad_clips():
    clip = _random_clip(4)
    del clip[1]['pred_joints']
    with pytest.raises(ValueError, match='clip4/00002: the model gave no'):
        _score(PCKMetric(), clip)
    with pytest.raises(ValueError, match='00001: the first frame'):
        _score(PCKMetric(), _random_clip(4, annotated=[1, 2]))
    with pytest.raises(ValueError, match=r'clip4 has 1 annotated frame\(s\)'):
        _score(PCKMetric(), _random_clip(4, annotated=[0]))
    clip = _random_clip(4)
    clip[2]['ori_shape'] = (100, 200)
    with pytest.raises(ValueError, match=r'clip4/00003 has \(100, 200\)'):
        _score(PCKMetric(), clip)


def test_options_that_cannot_work():
    with pytest.raises(ValueError, match='format_only needs out_dir'):
        PCKMetric(format_only=True)
    with pytest.raises(ValueError, match='2 joint names'):
        PCKMetric(joint_names=['a', 'b'])
