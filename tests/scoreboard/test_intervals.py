"""Intervals against another computation, and the benchmarks' own scores."""

import copy

import numpy as np
import pytest

from hvc_mm.evaluation import (
    MeanIoUMetric,
    PCKMetric,
    VOSMetric,
    VOSTMetric,
)
from hvc_mm.scoreboard.intervals import (
    difference_of,
    score_interval,
    why_unpaired,
)


def result(videos, head='J&F', of_nothing=None, score=None):
    """A result whose videos have numerators and denominators of a score."""
    kept = {
        name: dict(numerators={head: above}, denominators=below)
        for name, (above, below) in videos.items()
    }
    return dict(
        benchmark=dict(name='davis', fingerprint='0', headline=head),
        protocol=dict(text='by masks'),
        scores={head: score},
        pooled=dict(of_nothing=of_nothing, videos=kept),
    )


@pytest.fixture
def objects():
    """J&F of 41 objects in 12 videos, of one to six objects each."""
    rng = np.random.default_rng(3)
    counts = rng.integers(1, 7, 12)
    return [rng.uniform(20, 95, count) for count in counts]


def by_objects(objects):
    videos = {
        f'v{i}': ([float(each.sum())], [len(each)])
        for i, each in enumerate(objects)
    }
    return result(videos, score=float(np.concatenate(objects).mean()))


def test_the_interval_is_that_of_the_mean_over_objects(objects):
    found = score_interval(by_objects(objects), 'J&F')
    assert found.value == np.concatenate(objects).mean()
    # The same again in plain Python, with other draws.
    rng = np.random.default_rng(99)
    draws = []
    for _ in range(20000):
        picked = rng.integers(0, len(objects), len(objects))
        draws.append(np.concatenate([objects[i] for i in picked]).mean())
    low, high = np.percentile(draws, [2.5, 97.5])
    assert found.low == pytest.approx(low, abs=0.25)
    assert found.high == pytest.approx(high, abs=0.25)
    # A mean over videos has another one.
    means = [each.mean() for each in objects]
    assert abs(np.mean(means) - found.value) > 0.5
    # The draws are always the same ones.
    assert score_interval(by_objects(objects), 'J&F') == found


def test_the_interval_by_hand():
    """Two videos: the draws are both, or one of them twice."""
    one = result({'a': ([10.0], [1]), 'b': ([60.0], [2])}, score=70 / 3)
    found = score_interval(one, 'J&F')
    assert (found.low, found.high) == (10, 30)
    same = result({'a': ([10.0], [1]), 'b': ([20.0], [2])}, score=10.0)
    assert score_interval(same, 'J&F') == (10, 10, 10)


def test_parts_without_anything():
    """Of two parts the second is in one video only."""
    videos = {'a': ([50.0, 0.0], [1, 0]), 'b': ([100.0, 20.0], [1, 1])}
    left_out = result(videos, score=47.5)
    found = score_interval(left_out, 'J&F')
    # 'a' twice has no second part; 'b' twice has 100 and 20.
    assert (found.low, found.high) == (47.5, 60)
    as_zero = result(videos, of_nothing=0.0, score=47.5)
    found = score_interval(as_zero, 'J&F')
    assert (found.low, found.high) == (25, 60)


def test_a_run_does_not_differ_from_itself(objects):
    one = by_objects(objects)
    assert difference_of(one, copy.deepcopy(one), 'J&F') == (0, 0, 0)


def test_pairs_are_known_better_than_each(objects):
    """What is hard for one is hard for the other."""
    one = by_objects(objects)
    other = by_objects([each - 3 for each in objects])
    found = difference_of(one, other, 'J&F')
    assert found == pytest.approx((3, 3, 3))
    rng = np.random.default_rng(5)
    noise = [rng.normal(0, 2, len(each)) for each in objects]
    other = by_objects([e - 3 + n for e, n in zip(objects, noise)])
    found = difference_of(one, other, 'J&F')
    own = score_interval(one, 'J&F')
    assert found.low < found.value < found.high
    assert found.high - found.low < (own.high - own.low) / 2
    back = difference_of(other, one, 'J&F')
    assert (back.value, back.low, back.high) == pytest.approx(
        (-found.value, -found.high, -found.low)
    )


@pytest.mark.parametrize(
    'change, reason',
    [
        (dict(benchmark=dict(name='vip')), 'other benchmarks'),
        (dict(benchmark=dict(name='davis', fingerprint='1')), 'other data'),
        (dict(protocol=dict(text='in another way')), 'other protocols'),
        (dict(pooled=None), 'no results by video'),
        (dict(pooled=dict(videos={'x': {}})), 'other videos'),
    ],
)
def test_runs_that_cannot_be_compared(objects, change, reason):
    one = by_objects(objects)
    assert why_unpaired(one, one) is None
    other = {**one, **change}
    assert why_unpaired(one, other) == reason
    with pytest.raises(ValueError, match=f'between runs with {reason}'):
        difference_of(one, other, 'J&F')


def test_there_is_no_interval_of_one_video():
    one = result({'a': ([10.0], [1])}, score=10.0)
    assert score_interval(one, 'J&F') is None
    assert why_unpaired(one, one) == 'a single video'
    assert score_interval({**one, 'pooled': None}, 'J&F') is None


@pytest.fixture
def of_metrics():
    """Four metrics with results of a few videos, made at random."""
    rng = np.random.default_rng(0)
    columns = [f'{m}_{f}' for m in 'JF' for f in ('mean', 'recall', 'decay')]
    masks = [
        {
            'video': f'v{i}',
            'unit': 'percent',
            'objects': {
                str(k): {
                    **dict.fromkeys(columns, 0.0),
                    'J_last': float(rng.uniform(0, 100)),
                    'J&F': float(rng.uniform(0, 100)),
                }
                for k in range(i + 1)
            },
        }
        for i in range(4)
    ]
    parts = [
        {
            'video': f'v{i}',
            'unit': 'percent',
            # The last class is nowhere.
            'confusion': np.pad(rng.integers(0, 50, (4, 4)), (0, 1)).tolist(),
        }
        for i in range(4)
    ]
    joints = []
    for i in range(4):
        truth = rng.uniform(0, 320, (2, 15, 6))
        cells = (truth + rng.normal(0, 15, truth.shape)).clip(0) / 8
        cells[:, rng.random((15, 6)) < 0.2] = -1
        cells[:, 3] = -1  # a joint that is always lost
        joints.append(
            {
                'video': f'v{i}',
                'size': [320, 320],
                'grid': 40,
                'gt': truth.tolist(),
                'pred_cells': cells.tolist(),
            }
        )
    return [
        (VOSMetric(num_workers=0), masks, 'J&F'),
        (VOSTMetric(num_workers=0), masks, 'J_last'),
        (MeanIoUMetric(num_classes=5, num_workers=0), parts, 'mIoU'),
        (PCKMetric(), joints, 'PCK@0.2'),
    ]


def test_shares_of_videos_make_the_metrics_own_figures(of_metrics):
    """Of all videos, and of any selection of them."""
    for metric, videos, head in of_metrics:
        for picked in ([0, 1, 2, 3], [1], [0, 3], [2, 3]):
            chosen = [videos[i] for i in picked]
            expected = metric.compute_metrics(chosen)[head]
            above, below = (
                np.sum(parts, axis=0)
                for parts in zip(
                    *(
                        (pooled.numerators[head], pooled.denominators)
                        for pooled in map(metric.pooled, chosen)
                    )
                )
            )
            parts = [
                a / b if b else metric.of_nothing for a, b in zip(above, below)
            ]
            parts = [part for part in parts if part is not None]
            assert np.mean(parts) == pytest.approx(expected, rel=1e-12)
