"""Confusion and IoU against the reference numbers and by hand."""

import numpy as np
import pytest

from hvc_mm.evaluation.functional import confusion_matrix, iou_from_confusion


def test_golden(golden_dir):
    data = np.load(golden_dir / 'vip_metric.npz')
    frames = zip(data['gt'], data['pred'])
    hist = sum(confusion_matrix(gt, pred, 20) for gt, pred in frames)
    iou = iou_from_confusion(hist)
    np.testing.assert_allclose(iou, data['iou'], atol=1e-9, rtol=0)
    assert np.nanmean(iou) == pytest.approx(data['mIoU'], abs=1e-9)
    hit, total = np.diag(hist), hist.sum(axis=1)
    seen = total > 0
    accuracy = (hit[seen] / total[seen]).mean()
    assert accuracy == pytest.approx(data['mean_accuracy'], abs=1e-9)
    assert hit.sum() / hist.sum() == pytest.approx(
        data['overall_accuracy'], abs=1e-9
    )


def test_by_hand():
    gt = np.array([[0, 0, 1], [1, 2, 255]], np.uint8)
    pred = np.array([[0, 1, 1], [1, 0, 9]], np.uint8)
    hist = confusion_matrix(gt, pred, 4)
    expected = np.zeros((4, 4), np.int64)
    expected[0, 0] = expected[0, 1] = expected[2, 0] = 1
    expected[1, 1] = 2
    assert hist.dtype == np.int64
    np.testing.assert_array_equal(hist, expected)
    iou = iou_from_confusion(hist)
    np.testing.assert_allclose(iou, [1 / 3, 2 / 3, 0, np.nan])


@pytest.mark.parametrize(
    'gt, pred, message',
    [
        (np.zeros((2, 2), int), np.zeros((2, 3), int), r'\(2, 3\)'),
        (np.zeros((2, 2)), np.zeros((2, 2), int), 'gt has type float64'),
        (np.zeros((2, 2), int), np.full((2, 2), 3), r'3\.\.3.*0\.\.2'),
        (np.zeros((2, 2), int), np.full((2, 2), -1), r'-1\.\.-1'),
    ],
)
def test_bad_input(gt, pred, message):
    with pytest.raises(ValueError, match=message):
        confusion_matrix(gt, pred, 3)


def test_iou_needs_a_square_matrix():
    with pytest.raises(ValueError, match=r'\(2, 3\)'):
        iou_from_confusion(np.zeros((2, 3)))
