"""Stacks of masks: what is taken, and what is refused with its reason."""

import numpy as np
import pytest

from hvc_mm.evaluation.functional._checks import as_mask_pair


def test_zero_one_integers_are_masks():
    mask = np.array([[[0, 1], [1, 0]]], np.uint8)
    gt, pred = as_mask_pair(mask, mask.astype(np.int64))
    assert gt.dtype == pred.dtype == bool
    assert gt.tolist() == pred.tolist() == [[[False, True], [True, False]]]


@pytest.mark.parametrize(
    'gt, pred, message',
    [
        (np.zeros((2, 3, 4), bool), np.zeros((2, 3, 5), bool), r'3, 5\)'),
        (np.zeros((3, 4), bool), np.zeros((3, 4), bool), r'\(T, H, W\)'),
        (
            np.full((1, 2, 2), 2),
            np.zeros((1, 2, 2), bool),
            r'gt holds.*2\.\.2',
        ),
        (np.zeros((1, 2, 2)), np.zeros((1, 2, 2), bool), 'gt has type float'),
        (np.zeros((1, 2, 2), bool), np.full((1, 2, 2), -1), 'pred holds'),
    ],
)
def test_what_is_no_mask_of_one_object_is_refused(gt, pred, message):
    with pytest.raises(ValueError, match=message):
        as_mask_pair(gt, pred)
