"""J and F against published numbers and against plain forms of them."""

import numpy as np
import pytest
from scipy import ndimage

from hvc_mm.evaluation.functional import (
    SequenceStatistics,
    boundary_accuracy,
    davis_summary,
    last_quarter,
    region_similarity,
    sequence_statistics,
)

BOTH = {'J': region_similarity, 'F': boundary_accuracy}


@pytest.mark.parametrize('name', 'JF')
def test_golden(golden_dir, published, name):
    function = BOTH[name]
    close = dict(atol=1e-9, rtol=0)
    data = np.load(golden_dir / 'davis_metric.npz')
    for i, expected in enumerate(data[name], start=1):
        found = function(data['gt'] == i, data['pred'] == i)
        assert found.dtype == np.float64 and found.shape == (10,)
        np.testing.assert_allclose(found[1:-1], expected, **close)
    data = np.load(golden_dir / 'davis_metric_480p.npz')
    pair = [
        np.unpackbits(data[key], axis=1, count=int(data['width']))[None]
        for key in ('gt', 'pred')
    ]
    np.testing.assert_allclose(function(*pair), [data[name]], **close)
    for gt, pred, _, scores in published.values():
        expected = scores[name]['per_frame'][0][1:-1]
        found = function(gt == 1, pred == 1)[1:-1]
        np.testing.assert_allclose(found, expected, **close)


def test_empty_and_full_masks():
    empty, full = np.zeros((6, 8), bool), np.ones((6, 8), bool)
    some = np.zeros((6, 8), bool)
    some[:3] = True
    gt = np.stack([empty, empty, some, full, full, some])
    pred = np.stack([empty, some, empty, full, empty, full])
    assert region_similarity(gt, pred).tolist() == [1, 0, 0, 1, 0, 0.5]
    # A full mask has no boundary in the image, as little as an empty one.
    assert boundary_accuracy(gt, pred).tolist() == [1, 0, 0, 1, 1, 0]


def _plain_boundary(mask):
    """Pixel by pixel, as the protocol words it."""
    height, width = mask.shape
    edge = np.zeros_like(mask)
    for y in range(height):
        for x in range(width):
            others = []
            if x + 1 < width:
                others.append((y, x + 1))
            if y + 1 < height:
                others.append((y + 1, x))
            if x + 1 < width and y + 1 < height:
                others.append((y + 1, x + 1))
            edge[y, x] = any(mask[y, x] != mask[other] for other in others)
    return edge


def _plain_f(gt, pred):
    """F by exact distances over the whole image."""
    radius = np.ceil(0.008 * np.hypot(*gt.shape))
    edges = _plain_boundary(gt), _plain_boundary(pred)
    n_gt, n_pred = edges[0].sum(), edges[1].sum()
    if n_gt == 0 or n_pred == 0:
        return float(n_gt == n_pred)
    near = [ndimage.distance_transform_edt(~edge) <= radius for edge in edges]
    precision = (edges[1] & near[0]).sum() / n_pred
    recall = (edges[0] & near[1]).sum() / n_gt
    if precision + recall == 0:
        return 0.0
    return 2 * precision * recall / (precision + recall)


def _blobs(rng, shape, size):
    noise = ndimage.gaussian_filter(rng.standard_normal(shape), size)
    return noise > np.quantile(noise, rng.uniform(0.3, 0.98))


@pytest.mark.parametrize(
    'shape', [(48, 64), (1, 40), (40, 1), (2, 2), (260, 130)]
)
def test_f_equals_the_plain_form(shape):
    rng = np.random.default_rng(shape[0])
    count = 12 if shape[0] < 100 else 4
    gt = np.stack(
        [_blobs(rng, shape, rng.uniform(0, 8)) for _ in range(count)]
    )
    pred = np.stack([np.roll(g, rng.integers(-5, 6, 2), (0, 1)) for g in gt])
    expected = [_plain_f(g, p) for g, p in zip(gt, pred)]
    found = boundary_accuracy(gt, pred)
    np.testing.assert_allclose(found, expected, atol=1e-12, rtol=0)


def test_objects_that_touch_each_side_of_the_image():
    masks = np.zeros((4, 30, 40), bool)
    masks[0, :5] = masks[1, -5:] = masks[2, :, :5] = masks[3, :, -5:] = True
    for gt in masks:
        for pred in masks:
            found = boundary_accuracy(gt[None], pred[None])
            assert found[0] == pytest.approx(_plain_f(gt, pred), abs=1e-12)


def test_the_matching_distance_is_inclusive():
    """At 75 x 100 the diagonal is 125: exactly one pixel may be between."""
    gt = np.zeros((1, 75, 100), bool)
    gt[0, 20:40, 20:40] = True
    one, two = np.roll(gt, 1, axis=2), np.roll(gt, 2, axis=2)
    before = gt.copy()
    assert boundary_accuracy(gt, one)[0] == 1
    assert boundary_accuracy(gt, two)[0] < 0.6
    assert boundary_accuracy(gt, two, bound_th=0.016)[0] == 1
    np.testing.assert_array_equal(gt, before)


@pytest.mark.parametrize('function', BOTH.values())
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
def test_what_is_no_mask_of_one_object_is_refused(function, gt, pred, message):
    with pytest.raises(ValueError, match=message):
        function(gt, pred)


def test_golden_statistics(golden_dir):
    data = np.load(golden_dir / 'davis_metric.npz')
    region, boundary = (
        [sequence_statistics(scores) for scores in data[measure]]
        for measure in 'JF'
    )
    found = np.hstack([np.array(region), np.array(boundary)])
    np.testing.assert_allclose(found, data['per_object'], atol=1e-9, rtol=0)
    summary = davis_summary(region, boundary)
    fields = SequenceStatistics._fields
    names = [f'{m}_{f}' for m in 'JF' for f in fields]
    assert list(summary) == ['J&F', *names]
    wanted = [f'{m}-{f.capitalize()}' for m in 'JF' for f in fields]
    assert data['columns'].tolist() == wanted
    expected = [data['J_and_F_mean'], *data['per_object'].mean(axis=0)]
    np.testing.assert_allclose(
        list(summary.values()), expected, atol=1e-9, rtol=0
    )


def test_published_statistics(published):
    for *_, scores in published.values():
        for measure in 'JF':
            per_frame = scores[measure]['per_frame'][0][1:-1]
            found = sequence_statistics(np.array(per_frame))
            for name, value in found._asdict().items():
                expected = scores[measure][name][0]
                assert value == pytest.approx(expected, abs=1e-9)


def test_recall_is_strictly_above_a_half():
    assert sequence_statistics(np.array([0.5, 0.6])).recall == 0.5


def test_decay_by_hand():
    # Edges of 8 frames: linspace(1, 8, 5) = 1, 2.75, 4.5, 6.25, 8, so that
    # the first quarter is frames 1-3 and the last one frames 6-8.
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.3, 0.2, 0.1])
    assert sequence_statistics(scores).decay == pytest.approx(0.8 - 0.2)


@pytest.mark.parametrize('frames', [257, 1000, 70000])
def test_decay_of_a_long_video(frames):
    """8-bit edges would average the wrong frames beyond 256 of them."""
    scores = np.linspace(1, 0, frames)
    assert sequence_statistics(scores).decay == pytest.approx(0.75, abs=0.01)


@pytest.mark.parametrize('frames', [1, 2, 3])
def test_few_frames(frames):
    found = sequence_statistics(np.full(frames, 0.7))
    assert found == pytest.approx((0.7, 1.0, 0.0))


@pytest.mark.parametrize(
    'scores', [np.zeros(0), np.zeros((2, 2)), np.array([0.1, np.nan])]
)
def test_what_has_no_statistics_is_refused(scores):
    with pytest.raises(ValueError):
        sequence_statistics(scores)


@pytest.mark.parametrize(
    'frames, count', [(1, 1), (2, 1), (3, 1), (4, 1), (5, 2), (8, 2), (9, 3)]
)
def test_last_quarter(frames, count):
    found = last_quarter(np.arange(frames) / 10)
    assert found.tolist() == [t / 10 for t in range(frames - count, frames)]


@pytest.mark.parametrize('scores', [np.zeros(0), np.zeros((2, 2))])
def test_what_has_no_last_quarter_is_refused(scores):
    with pytest.raises(ValueError, match=r'at least one frame, found \('):
        last_quarter(scores)


def test_summary_needs_matching_objects():
    one = [sequence_statistics(np.ones(3))]
    with pytest.raises(ValueError, match='found 0 and 0'):
        davis_summary([], [])
    with pytest.raises(ValueError, match='found 1 and 2'):
        davis_summary(one, one * 2)
