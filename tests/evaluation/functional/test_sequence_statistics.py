"""Mean, recall and decay against the reference, and on long videos."""

import numpy as np
import pytest

from hvc_mm.evaluation.functional import (
    SequenceStatistics,
    davis_summary,
    sequence_statistics,
)


def test_golden(golden_dir):
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


def test_summary_needs_matching_objects():
    one = [sequence_statistics(np.ones(3))]
    with pytest.raises(ValueError, match='found 0 and 0'):
        davis_summary([], [])
    with pytest.raises(ValueError, match='found 1 and 2'):
        davis_summary(one, one * 2)
