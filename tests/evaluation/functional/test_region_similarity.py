"""J against the reference numbers and against its definition."""

import numpy as np
import pytest

from hvc_mm.evaluation.functional import region_similarity


def test_reference_objects(golden_dir):
    data = np.load(golden_dir / 'davis_metric.npz')
    for i, expected in enumerate(data['J'], start=1):
        score = region_similarity(data['gt'] == i, data['pred'] == i)
        assert score.dtype == np.float64 and score.shape == (10,)
        np.testing.assert_allclose(score[1:-1], expected, atol=1e-9, rtol=0)


def test_reference_480p(golden_dir):
    data = np.load(golden_dir / 'davis_metric_480p.npz')
    gt, pred = (
        np.unpackbits(data[name], axis=1, count=int(data['width']))[None]
        for name in ('gt', 'pred')
    )
    score = region_similarity(gt.astype(bool), pred.astype(bool))
    np.testing.assert_allclose(score, [data['J']], atol=1e-9, rtol=0)


def test_published_scores(davis_pair):
    gt, pred, scores = davis_pair
    expected = scores['J']['per_frame'][0][1:-1]
    np.testing.assert_allclose(
        region_similarity(gt, pred)[1:-1], expected, atol=1e-9, rtol=0
    )


def test_by_hand():
    empty, full = np.zeros((2, 2), bool), np.ones((2, 2), bool)
    half = np.array([[True, True], [False, False]])
    gt = np.stack([empty, full, empty, full, half])
    pred = np.stack([empty, full, full, empty, full])
    assert region_similarity(gt, pred).tolist() == [1, 1, 0, 0, 0.5]


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r'\(1, 2, 2\).*\(1, 2, 3\)'):
        region_similarity(np.zeros((1, 2, 2), bool), np.zeros((1, 2, 3), bool))
