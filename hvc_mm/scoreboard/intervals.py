"""How far a score depends on the sequences of its benchmark.

Sequences are drawn again with replacement, as many as there are, and the
score of each draw is computed as the benchmark does: the mean over objects
or joints, or the IoU of all pixels, not a mean over sequences. The interval
holds 95% of the draws (percentile bootstrap; Efron and Tibshirani, "An
Introduction to the Bootstrap", 1993, chapter 13).

n: sequences, P: parts that a score is the mean of (see
:class:`~hvc_mm.evaluation.metrics.video_metric.Pooled`).
"""

from __future__ import annotations

from typing import Any, Callable, Mapping, NamedTuple, Optional, Sequence

import numpy as np
from scipy.stats import bootstrap

__all__ = ['Interval', 'difference_of', 'score_interval', 'why_unpaired']

Result = Mapping[str, Any]

_LEVEL, _DRAWS, _SEED = 0.95, 9999, 0
# Draws at a time, so that they take little memory.
_BATCH = 1000


class Interval(NamedTuple):
    """A figure in percent, and the limits of its 95% interval."""

    value: float
    low: float
    high: float


def score_interval(result: Result, head: str) -> Optional[Interval]:
    """Compute the interval of a score.

    Args:
        result: Of a run, as :mod:`~hvc_mm.scoreboard.results` has it.
        head: Of the score.

    Returns:
        Interval: Its value is the score; None where the result does not hold
        what the score is made of, or has one sequence only.
    """
    pooled = result.get('pooled')
    if pooled is None or len(pooled['videos']) < 2:
        return None
    names = list(pooled['videos'])
    limits = _draw(_statistic(result, head, names), len(names))
    return Interval(result['scores'][head], *limits)


def why_unpaired(one: Result, other: Result) -> Optional[str]:
    """Tell why the scores of two runs can't be subtracted; None if they can.

    They have to be of the same data, by the same protocol and metric.
    """
    for what, part, key in (
        ('benchmarks', 'benchmark', 'name'),
        ('data', 'benchmark', 'fingerprint'),
        ('protocols', 'protocol', 'text'),
    ):
        if one[part][key] != other[part][key]:
            return f'other {what}'
    if None in (one.get('pooled'), other.get('pooled')):
        return 'no results by video'
    names = [set(result['pooled']['videos']) for result in (one, other)]
    if names[0] != names[1]:
        return 'other videos'
    return 'a single video' if len(names[0]) < 2 else None


def difference_of(one: Result, other: Result, head: str) -> Interval:
    """Compute a score's difference between two runs, and its interval.

    Each draw takes the same sequences of both: what is hard for one is hard
    for the other, and their difference is known better than either.

    Args:
        one: A run.
        other: The run whose score is subtracted.
        head: Of the score.

    Raises:
        ValueError: They can't be compared, see :func:`why_unpaired`.
    """
    reason = why_unpaired(one, other)
    if reason is not None:
        raise ValueError(f'no difference between runs with {reason}')
    names = list(one['pooled']['videos'])
    first, second = (_statistic(r, head, names) for r in (one, other))

    def difference(draw: np.ndarray, axis: int = -1) -> np.ndarray:
        return first(draw, axis) - second(draw, axis)

    value = one['scores'][head] - other['scores'][head]
    return Interval(value, *_draw(difference, len(names)))


def _statistic(
    result: Result, head: str, names: Sequence[str]
) -> Callable[..., np.ndarray]:
    """Make the function that computes a score from indices of sequences.

    It takes ``(..., n)`` and returns ``(...)``, as scipy wants it.
    """
    videos = result['pooled']['videos']
    # (n, P) each.
    above = np.array([videos[name]['numerators'][head] for name in names])
    below = np.array([videos[name]['denominators'] for name in names])
    of_nothing = result['pooled']['of_nothing']
    of_nothing = np.nan if of_nothing is None else of_nothing

    def score(draw: np.ndarray, axis: int = -1) -> np.ndarray:
        counts = _counts(np.moveaxis(draw, axis, -1))
        top, bottom = counts @ above, counts @ below
        parts = np.full(top.shape, of_nothing, dtype=float)
        np.divide(top, bottom, out=parts, where=bottom > 0)
        return np.nanmean(parts, axis=-1)

    return score


def _counts(draws: np.ndarray) -> np.ndarray:
    """Count how often each sequence was drawn: ``(..., n)`` to the same."""
    *shape, n = draws.shape
    rows = draws.reshape(-1, n).astype(int)
    rows = rows + n * np.arange(len(rows))[:, None]
    counts = np.bincount(rows.ravel(), minlength=rows.size)
    return counts.reshape(*shape, n).astype(float)


def _draw(statistic: Callable[..., np.ndarray], count: int) -> Sequence[float]:
    """Draw sequences again and again; return the interval's limits."""
    found = bootstrap(
        (np.arange(count),),
        statistic,
        n_resamples=_DRAWS,
        batch=_BATCH,
        vectorized=True,
        confidence_level=_LEVEL,
        method='percentile',
        random_state=np.random.default_rng(_SEED),
    )
    limits = found.confidence_interval
    return float(limits.low), float(limits.high)
