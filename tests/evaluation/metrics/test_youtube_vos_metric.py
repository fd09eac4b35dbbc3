"""YouTube-VOS scoring: late objects, seen and unseen, sparse frames."""

import csv
import json
import zipfile

import numpy as np
import pytest

from hvc_mm.evaluation import YouTubeVOSMetric
from hvc_mm.evaluation.functional import boundary_accuracy, region_similarity
from hvc_mm.registry import METRICS

CATEGORIES = {1: 'dog', 2: 'yeti', 3: 'dog'}


def _late(moving_video, seed=0, frames=11):
    """Objects 1 and 2; 2 begins at frame 5, and 1 is gone after frame 7."""
    gt, pred = moving_video(seed, frames)
    gt[:5][gt[:5] == 2] = 0
    gt[8:][gt[8:] == 1] = 0
    pred[9:][pred[9:] == 1] = 0
    return gt, pred


def _video(make_video, name, gt, pred, annotated, prompts=(0, 5)):
    video = make_video(
        name,
        gt,
        pred,
        annotated=annotated,
        object_categories={str(i): c for i, c in CATEGORIES.items()},
    )
    for t, sample in enumerate(video):
        sample['is_scored'] = t % 5 == 0 or t in annotated
        if t in prompts:
            sample['prompt_ids'] = sample['pred_ids']
    return video


def _score(metric, *videos):
    for video in videos:
        metric.process(None, video)
    return metric.evaluate(sum(map(len, videos)))


def _mean(function, gt, pred, i, frames):
    frames = list(frames)
    return 100 * function(gt[frames] == i, pred[frames] == i).mean()


@pytest.mark.parametrize('workers', [0, 1])
def test_objects_count_after_their_first_annotation(
    moving_video, make_video, workers
):
    gt, pred = _late(moving_video)
    metric = METRICS.build(
        {
            'type': 'YouTubeVOSMetric',
            'seen_categories': ['dog'],
            'num_workers': workers,
            'chunk_frames': 3,
        }
    )
    found = _score(metric, _video(make_video, 'v', gt, pred, range(11)))
    expected = {
        'J_seen': _mean(region_similarity, gt, pred, 1, range(1, 11)),
        'J_unseen': _mean(region_similarity, gt, pred, 2, range(6, 11)),
        'F_seen': _mean(boundary_accuracy, gt, pred, 1, range(1, 11)),
        'F_unseen': _mean(boundary_accuracy, gt, pred, 2, range(6, 11)),
    }
    expected = {
        'overall': np.mean(list(expected.values())),
        **expected,
    }
    assert list(found) == [f'ytvos/{name}' for name in expected]
    np.testing.assert_allclose(
        list(found.values()), list(expected.values()), atol=1e-10, rtol=0
    )


def test_only_annotated_frames_count(moving_video, make_video):
    gt, pred = _late(moving_video, 1, 16)
    metric = YouTubeVOSMetric(num_workers=0, seen_categories=['dog'])
    video = _video(make_video, 'v', gt, pred, (0, 5, 10, 15))
    found = _score(metric, video)
    seen = _mean(region_similarity, gt, pred, 1, (5, 10, 15))
    unseen = _mean(region_similarity, gt, pred, 2, (10, 15))
    assert found['ytvos/J_seen'] == pytest.approx(seen)
    assert found['ytvos/J_unseen'] == pytest.approx(unseen)


def test_means_are_over_objects(moving_video, make_video, tmp_path):
    one, three = moving_video(2, objects=1), moving_video(3, objects=3)
    metric = YouTubeVOSMetric(
        num_workers=0,
        seen_categories=['dog'],
        results_dir=str(tmp_path),
    )
    found = _score(
        metric,
        _video(make_video, 'one', *one, range(6)),
        _video(make_video, 'three', *three, range(6)),
    )
    seen = [
        _mean(region_similarity, *pair, i, range(1, 6))
        for pair, i in ((one, 1), (three, 1), (three, 3))
    ]
    assert found['ytvos/J_seen'] == pytest.approx(np.mean(seen))
    with open(tmp_path / 'ytvos/results.csv') as file:
        rows = list(csv.DictReader(file))
    assert [(r['sequence'], r['object'], r['category']) for r in rows] == [
        ('one', '1', 'dog'),
        ('three', '1', 'dog'),
        ('three', '2', 'yeti'),
        ('three', '3', 'dog'),
    ]
    saved = json.loads((tmp_path / 'ytvos/videos/three.json').read_text())
    assert saved['objects']['2']['seen'] is False
    assert len(saved['objects']['2']['J']) == 5


def test_without_a_list_all_categories_are_seen(
    moving_video, make_video, logged
):
    gt, pred = moving_video(4)
    metric = YouTubeVOSMetric(num_workers=0, per_sequence=True)
    found = _score(metric, _video(make_video, 'v', gt, pred, range(6)))
    assert set(found) == {'ytvos/overall', 'ytvos/J_seen', 'ytvos/F_seen'}
    assert found['ytvos/overall'] == pytest.approx(
        (found['ytvos/J_seen'] + found['ytvos/F_seen']) / 2
    )
    assert any('category that is unseen' in message for message in logged)
    assert any('yeti' in message for message in logged)


def test_an_object_of_the_last_annotation_has_nothing_to_score(
    moving_video, make_video
):
    gt, pred = moving_video(5)
    gt[:5][gt[:5] == 2] = 0
    metric = YouTubeVOSMetric(num_workers=0)
    found = _score(metric, _video(make_video, 'v', gt, pred, range(6)))
    expected = _mean(region_similarity, gt, pred, 1, range(1, 6))
    assert found['ytvos/J_seen'] == pytest.approx(expected)


def test_published_validation_sets_are_packed_without_figures(
    moving_video, make_video, tmp_path, logged
):
    """Annotated where objects begin only; frames of `valid` are kept."""
    gt, pred = _late(moving_video)
    metric = YouTubeVOSMetric(
        num_workers=0,
        out_dir=str(tmp_path / 'masks'),
        zip_path=str(tmp_path / 'a.zip'),
    )
    video = _video(make_video, 'v', gt, pred, (0, 5))
    assert _score(metric, video) == {}
    assert any('nothing was scored' in message for message in logged)
    with zipfile.ZipFile(tmp_path / 'a.zip') as archive:
        assert archive.namelist() == [
            f'Annotations/v/{t:05d}.png' for t in (0, 5, 10)
        ]
    metric = YouTubeVOSMetric(num_workers=0)
    with pytest.raises(ValueError, match='none of 1 videos.*no out_dir'):
        _score(metric, video)


def test_a_mixture_says_what_is_left_out(moving_video, make_video, logged):
    gt, pred = _late(moving_video)
    metric = YouTubeVOSMetric(num_workers=0)
    alone = _score(metric, _video(make_video, 'a', gt, pred, range(11)))
    found = _score(
        metric,
        _video(make_video, 'a', gt, pred, range(11)),
        _video(make_video, 'b', gt, pred, (0, 5)),
    )
    assert found == alone
    assert any('1 of 2 videos' in message for message in logged)


def test_an_id_that_is_annotated_nowhere(moving_video, make_video):
    gt, pred = moving_video(6)
    pred[3, 0, 0] = 7
    video = _video(make_video, 'v', gt, pred, range(6))
    with pytest.raises(ValueError, match=r'v/00003.*\[7\].*\[1, 2\]'):
        _score(YouTubeVOSMetric(num_workers=0), video)


def test_real_video(shared_dir):
    """Its own annotation as prediction is perfect; a shifted one is not."""
    import torch

    from hvc_mm.datasets import read_id_mask

    folder = shared_dir / 'data/YTVOS/train/Annotations/003234408d'
    paths = sorted(folder.iterdir())
    found = []
    for shift in (0, 12):
        metric = YouTubeVOSMetric(num_workers=0)
        for t, path in enumerate(paths):
            ids = read_id_mask(path)
            sample = {
                'video': folder.name,
                'frame_index': t,
                'frame_name': path.stem,
                'video_length': len(paths),
                'ori_shape': ids.shape,
                'gt_path': str(path),
                'object_categories': dict.fromkeys(range(1, 6), 'unknown'),
                'pred_ids': torch.from_numpy(np.roll(ids, shift, 1)),
            }
            metric.process(None, [sample])
        found.append(metric.evaluate(len(paths))['ytvos/overall'])
    assert found[0] == 100 and 10 < found[1] < 80
