"""PCK against the reference numbers and by hand."""

import numpy as np
import pytest

from hvc_mm.evaluation.functional import pck, pck_per_joint


def test_golden(golden_dir):
    data = np.load(golden_dir / 'jhmdb_metric.npz')
    clips = range(sum(name.startswith('gt_') for name in data.files))
    clips = dict(
        gt=[data[f'gt_{i}'] for i in clips],
        pred_cells=[data[f'pred_feature_{i}'] for i in clips],
        sizes=[tuple(data[f'size_{i}']) for i in clips],
        thresholds=data['pck_thresholds'],
        grid=int(data['feature_resolution']),
    )
    np.testing.assert_allclose(pck(**clips), data['pck'], atol=1e-9, rtol=0)
    per_joint = pck_per_joint(**clips)
    assert per_joint.shape == (15, 5)
    np.testing.assert_allclose(per_joint.mean(axis=0), data['pck'])


def _square_clip(frames=3):
    """Joints on a 30 x 40 box: its diagonal is 50, so 0.1 is 3 pixels."""
    gt = np.full((2, 15, frames), 40.0)
    gt[:, 0] = 20.0
    gt[0, 1], gt[1, 1] = 50.0, 60.0
    return gt


def test_by_hand():
    gt = _square_clip()
    pred = gt.copy()
    pred[0, 2, 1] += 2.9  # within 0.1
    pred[0, 3, 1] += 3.1  # within 0.2 only
    pred[0, 4, 0] += 30  # the first frame isn't scored
    pred[:, 5, 1] = -1  # lost once: the other frame decides
    pred[:, 6, 1:] = -1  # lost for good
    # 80 x 40 pixels on a grid of 40: a cell is one pixel high, two wide.
    cells = pred / np.array([2.0, 1.0]).reshape(2, 1, 1)
    cells[:, (pred < 0).any(0)] = -1
    percent = pck_per_joint([gt], [cells], [(40, 80)], [0.1, 0.2], grid=40)
    expected = np.full((15, 2), 100.0)
    expected[3, 0] = 50
    expected[6] = 0
    np.testing.assert_allclose(percent, expected)


def test_the_threshold_is_inclusive_and_the_box_is_of_found_joints():
    gt = _square_clip(2)
    pred = gt.copy()
    pred[:, 1, 1] = -1  # without joint 1 the box is 20 x 20
    pred[0, 2, 1] += 0.25 * 0.6 * np.hypot(20, 20)
    size = (40, 40)
    inside = pck_per_joint([gt], [pred], [size], [0.2501], grid=40)
    outside = pck_per_joint([gt], [pred], [size], [0.2499], grid=40)
    assert inside[2, 0] == 100 and outside[2, 0] == 0
    exact = pck_per_joint([gt], [gt], [size], [0.0], grid=40)
    assert (exact == 100).all()


def test_the_share_of_the_box_is_a_choice():
    gt = _square_clip(2)
    pred = gt.copy()
    pred[0, 2, 1] += 7.5  # a quarter of 0.6 * 50
    clip = [gt], [pred], [(40, 40)]
    assert pck(*clip, [0.2]) < 100
    assert pck(*clip, [0.2], box_share=0.8) == 100


def test_distances_are_pooled_over_clips():
    long, short = _square_clip(5), _square_clip(2)
    wrong = short.copy()
    wrong[:, 7, 1] += 500
    percent = pck_per_joint(
        [long, short], [long, wrong], [(40, 40)] * 2, [0.1], grid=40
    )
    # Four right frames and a wrong one, not the mean of two clips.
    assert percent[7, 0] == pytest.approx(80)


def test_a_box_without_extent_counts_as_missed():
    gt = _square_clip(2)
    pred = np.full_like(gt, -1)
    pred[:, 0] = gt[:, 0] + 1
    percent = pck_per_joint([gt], [pred], [(40, 40)], [0.5], grid=40)
    assert (percent == 0).all()


@pytest.mark.parametrize(
    'gt, pred, message',
    [
        ([], [], 'at least one'),
        ([np.ones((2, 15, 3))], [], 'found 1, 0'),
        ([np.ones((2, 14, 3))], [np.ones((2, 14, 3))], r'\(2, 14, 3\)'),
        ([np.ones((2, 15, 3))], [np.ones((2, 15, 4))], r'\(2, 15, 4\)'),
        ([np.ones((2, 15, 1))], [np.ones((2, 15, 1))], 'clip 0 has 1 frame'),
    ],
)
def test_bad_input(gt, pred, message):
    with pytest.raises(ValueError, match=message):
        pck(gt, pred, [(40, 40)] * len(gt), [0.1])
