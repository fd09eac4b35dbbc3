"""What workers do with a chunk of frames."""

import numpy as np
import pytest

from hvc_mm.datasets.image_io import write_id_mask
from hvc_mm.evaluation.functional import boundary_accuracy, region_similarity
from hvc_mm.evaluation.metrics.frame_scoring import (
    FrameJob,
    count_classes,
    is_binary_style,
    object_ids,
    score_objects,
)


@pytest.fixture
def job(tmp_path):
    def make(gt, pred, name='v/0'):
        path = tmp_path / f'{name.replace("/", "_")}.png'
        write_id_mask(path, np.array(gt, np.uint8))
        return FrameJob(name, str(path), np.array(pred, np.uint8))

    return make


def test_style_of_a_first_annotation():
    assert is_binary_style(np.array([[0, 255]]))
    assert not is_binary_style(np.array([[0, 1, 255]]))
    assert not is_binary_style(np.array([[0, 1]]))
    assert not is_binary_style(np.array([[0, 0]]))


def test_ids_that_count():
    gt = np.array([[0, 1, 3, 255]], np.uint8)
    assert object_ids(gt, False, False).tolist() == [[0, 1, 3, 0]]
    assert object_ids(gt, False, True).tolist() == [[0, 1, 1, 0]]
    assert object_ids(gt, True, False).tolist() == [[0, 1, 1, 1]]
    assert gt.tolist() == [[0, 1, 3, 255]]


def test_scores_of_every_id(job):
    rng = np.random.default_rng(0)
    gt = np.kron(rng.integers(0, 3, (4, 4)), np.ones((8, 8), int))
    pred = np.kron(rng.integers(1, 4, (4, 4)), np.ones((8, 8), int))
    frames = [job(gt, pred, 'v/0'), job(gt, gt, 'v/1')]
    first, second = score_objects(frames, binary=False, merge=False)
    assert first.gt_ids == (1, 2) and first.pred_ids == (1, 2, 3)
    for i in (1, 2, 3):
        masks = (gt == i)[None], (pred == i)[None]
        assert first.of(i) == (
            region_similarity(*masks)[0],
            boundary_accuracy(*masks)[0],
        )
    assert second.name == 'v/1' and second.of(1) == second.of(2) == (1, 1)
    assert 9 not in first.scores and first.of(9) == (1, 1)


def test_boundaries_match_within_the_given_distance(job):
    gt, pred = np.zeros((2, 40, 60), int)
    gt[10:30, 10:30] = 1
    pred[10:30, 13:33] = 1  # three pixels aside
    near = score_objects([job(gt, pred)], False, False)[0].of(1)[1]
    wide = score_objects([job(gt, pred)], False, False, 0.04)[0].of(1)[1]
    assert near < 0.7
    assert wide == 1


def test_binary_predictions_of_any_value_are_the_object(job):
    frames = [job([[0, 255]], [[0, 255]]), job([[0, 255]], [[0, 1]], 'v/1')]
    for scores in score_objects(frames, binary=True, merge=False):
        assert scores.scores == {1: (1.0, 1.0)}


def test_counts_are_summed_over_frames_and_void_is_ignored(job):
    frames = [
        job([[0, 1], [2, 255]], [[0, 1], [1, 2]], f'v/{i}') for i in 'ab'
    ]
    (hist,) = count_classes(frames, 3)
    assert hist.tolist() == [[2, 0, 0], [0, 2, 0], [0, 2, 0]]


def test_a_part_that_the_benchmark_does_not_have(job):
    frame = job([[0, 25]], [[0, 1]])
    with pytest.raises(ValueError, match=r'v_0\.png holds the id 25.*0\.\.19'):
        count_classes([frame], 20)
    frame = job([[0, 1]], [[0, 25]], 'v/7')
    with pytest.raises(ValueError, match=r'v/7: predicted ids.*25'):
        count_classes([frame], 20)


def test_sizes_must_agree(job):
    frame = job([[0, 1, 1]], [[0, 1]])
    with pytest.raises(ValueError, match=r'v/0.*\(1, 2\).*v_0\.png \(1, 3\)'):
        score_objects([frame], False, False)
    with pytest.raises(ValueError, match=r'v/0.*\(1, 2\)'):
        count_classes([frame], 20)
