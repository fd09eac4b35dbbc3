"""YouTube-VOS scoring: late objects, seen and unseen, sparse frames."""

import csv
import json
import zipfile

import numpy as np
import pytest

from hvc_mm.datasets import read_id_mask
from hvc_mm.evaluation import YouTubeVOSMetric
from hvc_mm.evaluation.functional import boundary_accuracy, region_similarity
from hvc_mm.registry import METRICS

DOG = {'num_workers': 0, 'seen_categories': ['dog']}
MEASURES = {'J': region_similarity, 'F': boundary_accuracy}


@pytest.fixture
def late(moving_video):
    """Objects 1 and 2; 2 begins at frame 5, and 1 is gone after frame 7."""
    gt, pred = moving_video(0, 16)
    gt[:5][gt[:5] == 2] = 0
    gt[8:][gt[8:] == 1] = 0
    pred[9:][pred[9:] == 1] = 0
    return gt, pred


@pytest.fixture
def annotated_video(make_video):
    """A video with categories, of which some frames are annotated."""

    def make(name, gt, pred, annotated=range(99), prompts=(0, 5)):
        categories = {'1': 'dog', '2': 'yeti', '3': 'dog'}
        video = make_video(
            name, gt, pred, annotated, object_categories=categories
        )
        for t, sample in enumerate(video):
            sample['is_scored'] = t % 5 == 0 or t in annotated
            if t in prompts:
                sample['prompt_ids'] = sample['pred_ids']
        return video

    return make


def _mean(function, gt, pred, i, frames):
    frames = list(frames)
    return 100 * function(gt[frames] == i, pred[frames] == i).mean()


@pytest.mark.parametrize(
    'annotated, workers', [(range(16), 0), (range(16), 1), ((0, 5, 10, 15), 0)]
)
def test_objects_count_after_their_first_annotation(
    late, annotated_video, score, annotated, workers
):
    cfg = dict(DOG, type='YouTubeVOSMetric', chunk_frames=3)
    metric = METRICS.build({**cfg, 'num_workers': workers})
    found = score(metric, annotated_video('v', *late, annotated))
    frames = {i: [t for t in annotated if t > b] for i, b in ((1, 0), (2, 5))}
    expected = {
        f'{name}_{group}': _mean(function, *late, i, frames[i])
        for name, function in MEASURES.items()
        for group, i in (('seen', 1), ('unseen', 2))
    }
    expected = {'overall': np.mean(list(expected.values())), **expected}
    assert list(found) == [f'ytvos/{name}' for name in expected]
    np.testing.assert_allclose(
        list(found.values()), list(expected.values()), atol=1e-9, rtol=0
    )


def test_means_are_over_objects(
    moving_video, annotated_video, score, tmp_path, logged
):
    one, three = moving_video(2, objects=1), moving_video(3, objects=3)
    metric = YouTubeVOSMetric(results_dir=str(tmp_path), **DOG)
    found = score(
        metric, annotated_video('one', *one), annotated_video('three', *three)
    )
    seen = [
        _mean(region_similarity, *pair, i, range(1, 6))
        for pair, i in ((one, 1), (three, 1), (three, 3))
    ]
    assert found['ytvos/J_seen'] == pytest.approx(np.mean(seen))
    assert not any('no object of a category' in line for line in logged)
    with open(tmp_path / 'ytvos/results.csv') as file:
        rows = list(csv.DictReader(file))
    names = [' '.join(list(row.values())[:3]) for row in rows]
    three = [f'three {i}' for i in ('1 dog', '2 yeti', '3 dog')]
    assert names == ['one 1 dog', *three]
    saved = json.loads((tmp_path / 'ytvos/videos/three.json').read_text())
    assert saved['objects']['2']['seen'] is False
    assert len(saved['objects']['2']['J']) == 5


def test_without_a_list_all_categories_are_seen(
    moving_video, annotated_video, score, logged
):
    metric = YouTubeVOSMetric(num_workers=0, per_sequence=True)
    found = score(metric, annotated_video('v', *moving_video(4)))
    assert set(found) == {'ytvos/overall', 'ytvos/J_seen', 'ytvos/F_seen'}
    both = found['ytvos/J_seen'] + found['ytvos/F_seen']
    assert found['ytvos/overall'] == pytest.approx(both / 2)
    assert any('category that is unseen' in message for message in logged)
    assert any('yeti' in message for message in logged)


def test_an_object_of_the_last_annotation_has_nothing_to_score(
    moving_video, annotated_video, score
):
    gt, pred = moving_video(5)
    gt[:5][gt[:5] == 2] = 0
    metric = YouTubeVOSMetric(num_workers=0)
    found = score(metric, annotated_video('v', gt, pred))
    expected = _mean(region_similarity, gt, pred, 1, range(1, 6))
    assert found['ytvos/J_seen'] == pytest.approx(expected)


def test_published_validation_sets_are_packed_without_figures(
    late, annotated_video, score, tmp_path, logged
):
    """Annotated where objects begin only; frames of `valid` are kept."""
    video = annotated_video('v', *late, (0, 5))
    path = tmp_path / 'a.zip'
    metric = YouTubeVOSMetric(
        num_workers=0, out_dir=str(tmp_path / 'masks'), zip_path=str(path)
    )
    assert score(metric, video) == {}
    assert any('nothing was scored' in message for message in logged)
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == [
            f'Annotations/v/{t:05d}.png' for t in (0, 5, 10, 15)
        ]
    metric = YouTubeVOSMetric(num_workers=0)
    with pytest.raises(ValueError, match='none of 1 videos.*no out_dir'):
        score(metric, video)


def test_a_mixture_says_what_is_left_out(late, annotated_video, score, logged):
    metric = YouTubeVOSMetric(num_workers=0)
    whole = annotated_video('a', *late)
    found = score(metric, whole, annotated_video('b', *late, (0, 5)))
    assert found == score(metric, whole)
    assert any('1 of 2 videos' in message for message in logged)


def test_an_id_that_is_annotated_nowhere(moving_video, annotated_video, score):
    gt, pred = moving_video(6)
    pred[3, 0, 0] = 7
    with pytest.raises(ValueError, match=r'v/00003.*\[7\].*\[1, 2\]'):
        score(YouTubeVOSMetric(num_workers=0), annotated_video('v', gt, pred))


def test_real_video(shared_dir, make_video, score):
    """Its own annotation as prediction is perfect; a shifted one is not."""
    folder = shared_dir / 'data/YTVOS/train/Annotations/003234408d'
    gt = np.stack([read_id_mask(path) for path in sorted(folder.iterdir())])
    overall = []
    for shift in (0, 12):
        video = make_video('v', gt, np.roll(gt, shift, 2))
        found = score(YouTubeVOSMetric(num_workers=0), video)
        overall.append(found['ytvos/overall'])
    assert overall[0] == 100 and 10 < overall[1] < 80
