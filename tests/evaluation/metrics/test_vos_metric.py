"""VOSMetric: DAVIS's numbers, from frames that come one by one."""

import csv
import json
import multiprocessing
import os

import numpy as np
import pytest
import torch
from PIL import Image

from hvc_mm.datasets.image_io import read_id_mask
from hvc_mm.evaluation import VOSMetric
from hvc_mm.evaluation.functional import (
    boundary_accuracy,
    region_similarity,
    sequence_statistics,
)
from hvc_mm.registry import METRICS

KEYS = [
    'davis/J&F',
    'davis/J_mean',
    'davis/J_recall',
    'davis/J_decay',
    'davis/F_mean',
    'davis/F_recall',
    'davis/F_decay',
]


def _score(metric, *videos):
    samples = [sample for video in videos for sample in video]
    for start in range(0, len(samples), 3):  # batches cross videos
        metric.process(None, samples[start : start + 3])
    return metric.evaluate(len(samples))


def _reference(golden_dir, make_video):
    data = np.load(golden_dir / 'davis_metric.npz')
    return data, make_video('golden', data['gt'], data['pred'])


def test_reference(golden_dir, make_video, tmp_path):
    data, video = _reference(golden_dir, make_video)
    metric = METRICS.build(
        {
            'type': 'VOSMetric',
            'num_workers': 0,
            'results_dir': str(tmp_path / 'scores'),
        }
    )
    found = _score(metric, video)
    assert list(found) == KEYS
    expected = 100 * data['J_and_F_mean']
    assert found['davis/J&F'] == pytest.approx(expected, abs=1e-9)
    np.testing.assert_allclose(
        list(found.values())[1:],
        100 * data['per_object'].mean(axis=0),
        atol=1e-9,
        rtol=0,
    )
    written = json.loads((tmp_path / 'scores/davis/results.json').read_text())
    objects = written['videos'][0]['objects']
    for i, key in enumerate(('1', '2', '3')):
        for measure in 'JF':
            np.testing.assert_allclose(
                objects[key][measure],
                100 * data[measure][i],
                atol=1e-9,
                rtol=0,
            )
    assert written['videos'][0]['frames'] == [f'{t:05d}' for t in range(1, 9)]
    assert written['overall'] == {k[6:]: v for k, v in found.items()}


def test_published_results(published_videos):
    videos, scores = published_videos
    found = _score(VOSMetric(num_workers=0), *videos)
    for measure in 'JF':
        for field in ('mean', 'recall', 'decay'):
            expected = 100 * np.mean(
                [s[measure][field][0] for s in scores.values()]
            )
            key = f'davis/{measure}_{field}'
            assert found[key] == pytest.approx(expected, abs=1e-9)


def test_workers_give_the_same_numbers(moving_video, make_video):
    videos = [make_video(f'v{i}', *moving_video(i, 5 + i)) for i in range(3)]
    here = _score(VOSMetric(num_workers=0), *videos)
    workers = VOSMetric(num_workers=2, chunk_frames=2)
    assert _score(workers, *videos) == here
    # Ready for a second evaluation, and no process is left.
    assert _score(workers, *videos) == here
    assert not multiprocessing.active_children()


def test_overall_is_over_objects_not_videos(moving_video, make_video):
    few, many = moving_video(0, 6, objects=1), moving_video(1, 6, objects=3)
    videos = make_video('few', *few), make_video('many', *many)
    found = _score(VOSMetric(num_workers=0), *videos)
    scores = [
        region_similarity(gt == i, pred == i)[1:-1].mean()
        for (gt, pred), count in ((few, 1), (many, 3))
        for i in range(1, count + 1)
    ]
    assert found['davis/J_mean'] == pytest.approx(100 * np.mean(scores))


def test_absent_objects(make_video):
    """Vanished: 1 when nothing is predicted, else 0. Lost: 0."""
    gt = np.zeros((5, 20, 20), np.uint8)
    gt[:, 2:8, 2:8] = 1
    gt[0, 12:18, 12:18] = 2  # 2 is seen on the first frame only
    pred = gt.copy()
    pred[1] = 0  # 1 lost
    pred[2, 12:18, 12:18] = 2  # 2 where it isn't
    found = _score(VOSMetric(num_workers=0), make_video('v', gt, pred))
    assert found['davis/J_mean'] == pytest.approx(200 / 3)
    assert found['davis/F_mean'] == pytest.approx(200 / 3)


def test_an_id_that_is_skipped_is_an_object(make_video):
    """DAVIS counts up to the largest id; nobody sees 1 here: it scores 1."""
    gt = np.zeros((4, 20, 20), np.uint8)
    gt[:, 2:8, 2:8] = 2
    found = _score(
        VOSMetric(num_workers=0), make_video('v', gt, np.zeros_like(gt))
    )
    assert found['davis/J_mean'] == pytest.approx(50)


def test_void_counts_as_background(make_video):
    gt = np.zeros((3, 20, 20), np.uint8)
    gt[:, 2:8, 2:8] = 1
    gt[:, 8:10, 2:8] = 255
    pred = (gt > 0).astype(np.uint8)
    found = _score(VOSMetric(num_workers=0), make_video('v', gt, pred))
    assert found['davis/J_mean'] == pytest.approx(75)


def test_merged_ids(moving_video, make_video):
    gt, pred = moving_video(3, objects=3)
    found = _score(
        VOSMetric(num_workers=0, merge_ids=True), make_video('v', gt, pred)
    )
    expected = sequence_statistics(region_similarity(gt > 0, pred > 0)[1:-1])
    assert found['davis/J_mean'] == pytest.approx(100 * expected.mean)
    assert found['davis/J_decay'] == pytest.approx(100 * expected.decay)
    expected = boundary_accuracy(gt > 0, pred > 0)[1:-1].mean()
    assert found['davis/F_mean'] == pytest.approx(100 * expected)


@pytest.mark.parametrize('merge', [True, False])
def test_davis16_masks_of_0_and_255(moving_video, make_video, merge):
    gt, pred = moving_video(4, objects=1)
    video = make_video('v', gt * 255, pred)
    found = _score(VOSMetric(num_workers=0, merge_ids=merge), video)
    expected = region_similarity(gt > 0, pred > 0)[1:-1].mean()
    assert found['davis/J_mean'] == pytest.approx(100 * expected)


def test_binary_masks_of_any_values(moving_video, make_video):
    gt, pred = moving_video(4, objects=1)
    gt[:, 0, 0] = 1
    values = np.array([0, 254], np.uint8)[gt]
    values[:, 0, 0] = 255
    metric = VOSMetric(num_workers=0, binary_masks=True)
    found = _score(metric, make_video('v', values, pred))
    expected = region_similarity(gt > 0, pred > 0)[1:-1].mean()
    assert found['davis/J_mean'] == pytest.approx(100 * expected)


def test_all_frames_on_request(moving_video, make_video):
    gt, pred = moving_video(5, frames=2)
    metric = VOSMetric(num_workers=0, first_last_excluded=False)
    found = _score(metric, make_video('v', gt, pred))
    expected = np.mean(
        [region_similarity(gt == i, pred == i).mean() for i in (1, 2)]
    )
    assert found['davis/J_mean'] == pytest.approx(100 * expected)


def test_masks_are_written(moving_video, make_video, tmp_path):
    gt, pred = moving_video(6, frames=12)
    metric = VOSMetric(num_workers=0, out_dir=str(tmp_path / 'masks'))
    _score(metric, make_video('a', gt, pred))
    folder = tmp_path / 'masks' / 'a'
    names = sorted(path.name for path in folder.iterdir())
    assert names == [f'{t:05d}.png' for t in range(12)]
    for t, name in enumerate(names):
        assert Image.open(folder / name).mode == 'P'
        np.testing.assert_array_equal(read_id_mask(folder / name), pred[t])
    with open(tmp_path / 'masks_scores/davis/results.csv') as file:
        rows = list(csv.DictReader(file))
    assert [row['object'] for row in rows] == ['1', '2', 'all']
    scores = region_similarity(gt == 1, pred == 1)[1:-1]
    assert float(rows[0]['J_mean']) == pytest.approx(100 * scores.mean())


def test_format_only(moving_video, make_video, tmp_path):
    """No annotation beyond the first frame, as in DAVIS test-dev."""
    video = make_video('a', *moving_video(7), annotated=[0])
    metric = VOSMetric(out_dir=str(tmp_path / 'masks'), format_only=True)
    assert _score(metric, video) == {}
    assert len(list((tmp_path / 'masks/a').iterdir())) == 6
    assert not (tmp_path / 'masks_scores').exists()


def test_finished_videos_survive_a_crash(moving_video, make_video, tmp_path):
    videos = [make_video(f'v{i}', *moving_video(i)) for i in range(2)]
    metric = VOSMetric(num_workers=0, results_dir=str(tmp_path / 'scores'))
    metric.process(None, videos[0] + videos[1][:3])  # and then it dies
    whole = _score(VOSMetric(num_workers=0), videos[0])
    saved = json.loads((tmp_path / 'scores/davis/videos/v0.json').read_text())
    means = [entry['J_mean'] for entry in saved['objects'].values()]
    assert np.mean(means) == pytest.approx(whole['davis/J_mean'])
    assert not (tmp_path / 'scores/davis/videos/v1.json').exists()


def test_tables_are_logged(moving_video, make_video, logged):
    video = make_video('clip', *moving_video(8))
    metric = VOSMetric(num_workers=0, per_sequence=True)
    found = _score(metric, video)
    out = '\n'.join(logged)
    assert 'Objects' in out and 'Sequences' in out
    assert '1 sequences, 2 objects' in out
    assert f'{found["davis/J&F"]:.1f}' in out


@pytest.mark.parametrize('workers', [0, 1])
def test_more_objects_than_annotated(moving_video, make_video, workers):
    gt, pred = moving_video(9)
    pred[3, 0, 0] = 9
    metric = VOSMetric(num_workers=workers)
    with pytest.raises(ValueError, match=r'clip/00003.*the id 9.*1\.\.2'):
        _score(metric, make_video('clip', gt, pred))


def test_a_missing_annotation(moving_video, make_video):
    gt, pred = moving_video(10)
    video = make_video('clip', gt, pred, annotated=[0, 1, 2, 5])
    with pytest.raises(ValueError, match=r'clip: frame 00003.*no annotation'):
        _score(VOSMetric(num_workers=0), video)


@pytest.mark.parametrize('workers', [0, 1])
def test_an_annotation_file_that_is_gone(moving_video, make_video, workers):
    video = make_video('clip', *moving_video(10))
    os.remove(video[2]['gt_path'])
    with pytest.raises(FileNotFoundError, match=r'clip/00002\.png'):
        _score(VOSMetric(num_workers=workers), video)


def test_an_annotation_of_another_size(moving_video, make_video):
    gt, pred = moving_video(11)
    video = make_video('clip', gt, pred)
    Image.fromarray(gt[2, :10]).save(video[2]['gt_path'])
    with pytest.raises(ValueError, match=r'clip/00002.*\(10, 32\)'):
        _score(VOSMetric(num_workers=0), video)


@pytest.mark.parametrize('frames', [1, 2])
def test_a_video_that_is_too_short(moving_video, make_video, frames):
    video = make_video('tiny', *moving_video(12, frames))
    with pytest.raises(ValueError, match=rf'tiny has {frames} frame'):
        _score(VOSMetric(num_workers=0), video)


def test_a_first_annotation_without_object(moving_video, make_video):
    gt, pred = moving_video(13)
    gt[0] = 0
    with pytest.raises(ValueError, match=r'clip.*00000\.png shows no object'):
        _score(VOSMetric(num_workers=0), make_video('clip', gt, pred))


def test_predictions_of_the_wrong_kind(moving_video, make_video):
    gt, pred = moving_video(14)
    video = make_video('clip', gt, pred)
    video[2]['pred_ids'] = torch.zeros(5, 5, dtype=torch.uint8)
    with pytest.raises(ValueError, match=r'clip/00002.*\(5, 5\).*\(24, 32\)'):
        _score(VOSMetric(num_workers=0), video)
    video = make_video('clip', gt, pred)
    video[2]['pred_ids'] = torch.zeros(24, 32)
    with pytest.raises(ValueError, match='float32'):
        _score(VOSMetric(num_workers=0), video)
    del video[2]['pred_ids']
    with pytest.raises(ValueError, match='no pred_ids'):
        _score(VOSMetric(num_workers=0), video)
