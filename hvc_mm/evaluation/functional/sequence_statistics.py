"""Mean, recall and decay of a score over a video, and DAVIS's J&F.

Legend: T: frames, O: objects.
"""

from __future__ import annotations

from typing import Dict, NamedTuple, Sequence

import numpy as np

RECALL_TH = 0.5
_QUARTERS = 4


class SequenceStatistics(NamedTuple):
    """Figures that DAVIS reports of one score over one video.

    Attributes:
        mean: Mean over the frames.
        recall: Share of frames with a score above 0.5.
        decay: Mean of the first quarter minus mean of the last one; positive
            where the result gets worse.
    """

    mean: float
    recall: float
    decay: float


def sequence_statistics(scores: np.ndarray) -> SequenceStatistics:
    """Compute mean, recall and decay of one object's score over a video.

    The quarters' edges are ``round(linspace(1, T, 5) + 1e-10) - 1``, and both
    ends belong to a quarter, as in the DAVIS-2017 protocol. They are int64:
    DAVIS's 8-bit edges overflow beyond 256 frames.

    Args:
        scores: ``(T,)`` in [0, 1], the frames that count only (DAVIS leaves
            out the first and the last frame of a video).

    Returns:
        SequenceStatistics: The three figures.

    Raises:
        ValueError: There is no frame, or a score isn't finite.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 1 or scores.size == 0:
        raise ValueError(
            f'expected the scores (T,) of at least one frame, found '
            f'{scores.shape}'
        )
    if not np.isfinite(scores).all():
        raise ValueError('a frame has a score that is not finite')
    edges = np.linspace(1, len(scores), _QUARTERS + 1)
    edges = (np.round(edges + 1e-10) - 1).astype(np.int64)
    first = scores[edges[0] : edges[1] + 1]
    last = scores[edges[-2] : edges[-1] + 1]
    return SequenceStatistics(
        mean=float(scores.mean()),
        recall=float((scores > RECALL_TH).mean()),
        decay=float(first.mean() - last.mean()),
    )


def davis_summary(
    region: Sequence[SequenceStatistics],
    boundary: Sequence[SequenceStatistics],
) -> Dict[str, float]:
    """Compute DAVIS's overall figures: means over all objects.

    Args:
        region: J's statistics of every object, O of them.
        boundary: F's statistics of the same objects.

    Returns:
        Dict[str, float]: ``J&F`` (the mean of J's and F's means), ``J_mean``,
        ``J_recall``, ``J_decay``, ``F_mean``, ``F_recall``, ``F_decay``.

    Raises:
        ValueError: There is no object, or the lengths differ.
    """
    if len(region) == 0 or len(region) != len(boundary):
        raise ValueError(
            f'expected J and F of the same objects, found {len(region)} and '
            f'{len(boundary)}'
        )
    summary = {}
    for name, objects in (('J', region), ('F', boundary)):
        means = np.mean(np.array(objects, dtype=np.float64), axis=0)
        for field, value in zip(SequenceStatistics._fields, means):
            summary[f'{name}_{field}'] = float(value)
    both = (summary['J_mean'] + summary['F_mean']) / 2
    return {'J&F': both, **summary}
