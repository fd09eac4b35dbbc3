"""VOSMetric: DAVIS's numbers, from frames that come one by one."""

import csv
import json
import multiprocessing

import numpy as np
import pytest
import torch
from PIL import Image

from hvc_mm.evaluation import VOSMetric, YouTubeVOSMetric
from hvc_mm.evaluation.functional import (
    boundary_accuracy,
    region_similarity,
    sequence_statistics,
)
from hvc_mm.registry import METRICS

FIELDS = ('mean', 'recall', 'decay')
NINE = torch.full((24, 32), 9).byte()
KEYS = ['J&F', *(f'{m}_{f}' for m in 'JF' for f in FIELDS)]


def test_golden(golden_dir, make_video, score, tmp_path):
    data = np.load(golden_dir / 'davis_metric.npz')
    cfg = dict(type='VOSMetric', num_workers=0, results_dir=str(tmp_path))
    video = make_video('golden', data['gt'], data['pred'])
    found = score(METRICS.build(cfg), video)
    assert list(found) == [f'davis/{key}' for key in KEYS]
    expected = [data['J_and_F_mean'], *data['per_object'].mean(axis=0)]
    close = dict(atol=1e-9, rtol=0)
    percent = 100 * np.array(expected)
    np.testing.assert_allclose(list(found.values()), percent, **close)
    written = json.loads((tmp_path / 'davis/results.json').read_text())
    assert written['overall'] == {k[6:]: v for k, v in found.items()}
    (video,) = written['videos']
    assert video['frames'] == [f'{t:05d}' for t in range(1, 9)]
    for i in range(3):
        for m in 'JF':
            curve = video['objects'][str(i + 1)][m]
            np.testing.assert_allclose(curve, 100 * data[m][i], **close)


def test_workers_give_the_same_numbers(moving_video, make_video, score):
    videos = [make_video(f'v{i}', *moving_video(i, 5 + i)) for i in range(3)]
    here = score(VOSMetric(num_workers=0), *videos)
    workers = VOSMetric(num_workers=2, chunk_frames=2)
    assert score(workers, *videos) == here
    # Ready for a second evaluation, and no process is left.
    assert score(workers, *videos) == here
    assert not multiprocessing.active_children()


def test_overall_is_over_objects_not_videos(moving_video, make_video, score):
    few, many = moving_video(0, 6, objects=1), moving_video(1, 6, objects=3)
    videos = make_video('few', *few), make_video('many', *many)
    found = score(VOSMetric(num_workers=0), *videos)
    scores = [
        region_similarity(gt == i, pred == i)[1:-1].mean()
        for (gt, pred), count in ((few, 1), (many, 3))
        for i in range(1, count + 1)
    ]
    assert found['davis/J_mean'] == pytest.approx(100 * np.mean(scores))


def _absent(gt, pred):
    """1 is lost once; 2 is in the first frame only, found elsewhere once."""
    gt[0, 12:18, 12:18] = 2
    pred[1] = 0
    pred[2, 12:18, 12:18] = 2
    return 100 * (2 / 3 + 2 / 3) / 2


def _skipped(gt, pred):
    """DAVIS counts up to the largest id; nobody sees 1 here: it scores 1."""
    gt[gt == 1] = 2
    pred[:] = 0
    return 50


def _void(gt, pred):
    """Void is background: what is predicted there is wrong."""
    gt[:, 8:10, 2:8] = 255
    pred[:, 8:10, 2:8] = 1
    return 75


@pytest.mark.parametrize('change', [_absent, _skipped, _void])
def test_objects_by_hand(make_video, score, change):
    gt = np.zeros((5, 20, 20), np.uint8)
    gt[:, 2:8, 2:8] = 1
    pred = gt.copy()
    expected = change(gt, pred)
    found = score(VOSMetric(num_workers=0), make_video('v', gt, pred))
    assert found['davis/J_mean'] == pytest.approx(expected)
    if change is not _void:
        assert found['davis/F_mean'] == pytest.approx(expected)


@pytest.mark.parametrize(
    'values, options',
    [
        ([0, 1, 2, 3], {'merge_ids': True}),
        ([0, 255, 255, 255], {}),  # as DAVIS-2016 stores one object
        ([0, 255, 255, 255], {'merge_ids': True}),
        ([0, 1, 254, 255], {'binary_masks': True}),
    ],
)
def test_one_object(moving_video, make_video, score, values, options):
    gt, pred = moving_video(3, objects=3)
    video = make_video('v', np.array(values, np.uint8)[gt], pred)
    found = score(VOSMetric(num_workers=0, **options), video)
    pair = (gt > 0)[1:-1], (pred > 0)[1:-1]
    expected = sequence_statistics(region_similarity(*pair))
    assert found['davis/J_mean'] == pytest.approx(100 * expected.mean)
    assert found['davis/J_decay'] == pytest.approx(100 * expected.decay)
    expected = 100 * boundary_accuracy(*pair).mean()
    assert found['davis/F_mean'] == pytest.approx(expected)


def test_other_settings(moving_video, make_video, score):
    gt, pred = moving_video(5, frames=2)
    metric = VOSMetric(num_workers=0, first_last_excluded=False, bound_th=0.02)
    found = score(metric, make_video('v', gt, pred))
    masks = [(gt == i, pred == i) for i in (1, 2)]
    expected = np.mean([region_similarity(*pair) for pair in masks])
    assert found['davis/J_mean'] == pytest.approx(100 * expected)
    expected = np.mean([boundary_accuracy(*pair, 0.02) for pair in masks])
    assert found['davis/F_mean'] == pytest.approx(100 * expected)


@pytest.mark.parametrize('metric', [VOSMetric, YouTubeVOSMetric])
@pytest.mark.parametrize('bound_th', [0, 2, -0.1])
def test_a_distance_in_pixels_is_refused(metric, bound_th):
    with pytest.raises(ValueError, match=f'bound_th is {bound_th}; .*share'):
        metric(bound_th=bound_th)


def test_masks_tables_and_files(
    moving_video, make_video, score, tmp_path, logged
):
    gt, pred = moving_video(6, frames=12)
    metric = VOSMetric(
        num_workers=0, per_sequence=True, out_dir=str(tmp_path / 'masks')
    )
    found = score(metric, make_video('a', gt, pred))
    text = '\n'.join(logged)
    assert 'Objects' in text and 'Sequences' in text
    assert '1 sequences, 2 objects, percent' in text
    assert f'{found["davis/J&F"]:.1f}' in text
    paths = sorted((tmp_path / 'masks/a').iterdir())
    assert [path.name for path in paths] == [f'{t:05d}.png' for t in range(12)]
    for path, ids in zip(paths, pred):
        assert Image.open(path).mode == 'P'
        np.testing.assert_array_equal(np.array(Image.open(path)), ids)
    with open(tmp_path / 'masks_scores/davis/results.csv') as file:
        rows = list(csv.DictReader(file))
    assert [row['object'] for row in rows] == ['1', '2', 'all']
    expected = 100 * region_similarity(gt == 1, pred == 1)[1:-1].mean()
    assert float(rows[0]['J_mean']) == pytest.approx(expected)


def test_format_only(moving_video, make_video, score, tmp_path):
    """No annotation beyond the first frame, as in DAVIS test-dev."""
    video = make_video('a', *moving_video(7), annotated=[0])
    metric = VOSMetric(out_dir=str(tmp_path / 'masks'), format_only=True)
    assert score(metric, video) == {}
    assert len(list((tmp_path / 'masks/a').iterdir())) == 6
    assert not (tmp_path / 'masks_scores').exists()


def test_finished_videos_survive_a_crash(
    moving_video, make_video, score, tmp_path
):
    videos = [make_video(f'v{i}', *moving_video(i)) for i in range(2)]
    metric = VOSMetric(num_workers=0, results_dir=str(tmp_path))
    metric.process(None, videos[0] + videos[1][:3])  # and then it dies
    whole = score(VOSMetric(num_workers=0), videos[0])
    saved = json.loads((tmp_path / 'davis/videos/v0.json').read_text())
    means = [entry['J_mean'] for entry in saved['objects'].values()]
    assert np.mean(means) == pytest.approx(whole['davis/J_mean'])
    assert not (tmp_path / 'davis/videos/v1.json').exists()


@pytest.mark.parametrize(
    'change, message',
    [
        ({'gt_path': None}, 'v: frame 00002.*no annotation'),
        ({'gt_path': 'no/00002.png'}, r'no/00002\.png'),
        ({'gt_path': 'small.png'}, r'v/00002.*small\.png has 32x10 pixels'),
        ({'pred_ids': torch.zeros(5, 5).byte()}, 'v/00002.* 5x5 .* 32x24'),
        ({'pred_ids': torch.zeros(24, 32)}, 'v/00002.*float32'),
        ({'pred_ids': NINE}, r'v/00002.*id 9.*1\.\.2'),
        ({'pred_ids': None}, 'v/00002.*no pred_ids'),
    ],
)
@pytest.mark.parametrize('workers', [0, 1])
def test_bad_frames(
    moving_video, make_video, score, tmp_path, workers, change, message
):
    video = make_video('v', *moving_video(9))
    Image.new('L', (32, 10)).save(tmp_path / 'small.png')
    video[2].update(change)
    if change.get('gt_path'):
        video[2]['gt_path'] = str(tmp_path / change['gt_path'])
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        score(VOSMetric(num_workers=workers), video)


@pytest.mark.parametrize('frames', [1, 2])
def test_bad_videos(moving_video, make_video, score, frames):
    gt, pred = moving_video(12, frames)
    with pytest.raises(ValueError, match=rf'tiny has {frames} frame'):
        score(VOSMetric(num_workers=0), make_video('tiny', gt, pred))
    empty = np.zeros((3, 4, 4), np.uint8)
    video = make_video('empty', empty, empty)
    with pytest.raises(ValueError, match=r'empty/00000\.png shows no object'):
        score(VOSMetric(num_workers=0), video)


def test_frames_that_are_not_scored_need_no_annotation(
    moving_video, make_video, score
):
    gt, pred = moving_video(3)
    whole = score(VOSMetric(num_workers=0), make_video('v', gt, pred))
    part = make_video('v', gt, pred, annotated=range(5))
    assert score(VOSMetric(num_workers=0), part) == whole
    with pytest.raises(ValueError, match='frame 00005 has no annotation'):
        score(VOSMetric(num_workers=0, first_last_excluded=False), part)


def test_ids_that_the_protocol_adds_or_leaves_out_are_told(
    moving_video, make_video, score, logged
):
    """The protocol's figures stay as they are."""
    gt, pred = moving_video(3, objects=1)
    score(VOSMetric(num_workers=0), make_video('plain', gt, pred))
    assert not [line for line in logged if line.startswith('WARNING')]
    gaps = make_video('gaps', gt * 3, pred * 0)
    found = score(VOSMetric(num_workers=0), gaps)
    assert found['davis/J_mean'] == pytest.approx(200 / 3)
    gt[2, :2, :2] = 2
    late = score(VOSMetric(num_workers=0), make_video('late', gt, gt == 1))
    assert late['davis/J_mean'] == 100
    first, second = (line for line in logged if line.startswith('WARNING'))
    assert 'video gaps' in first and 'holds the ids [3]' in first
    assert 'scores 1 to 3' in first and 'counts [1, 2] as right' in first
    assert 'video late: the objects [2] enter after' in second


def test_annotations_with_smooth_edges(moving_video, make_video, score):
    gt, pred = moving_video(3, shape=(72, 96), objects=1)
    video = make_video('v', gt, pred)
    for sample, truth in zip(video, gt):
        image = Image.fromarray(truth * 255).resize((48, 36), Image.BILINEAR)
        image.resize((96, 72), Image.BICUBIC).save(sample['gt_path'])
    with pytest.raises(ValueError, match=r'00000\.png has .* ids.*smooth'):
        score(VOSMetric(num_workers=0), video)
    found = score(VOSMetric(num_workers=0, binary_masks=True), video)
    sharp = score(VOSMetric(num_workers=0), make_video('v', gt, pred))
    assert abs(found['davis/J_mean'] - sharp['davis/J_mean']) < 8
