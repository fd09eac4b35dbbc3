"""The benchmarks that backbones are compared on, and what is shown of them.

T: scored frames of a video.
"""

from __future__ import annotations

import os.path as osp
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, Optional

import numpy as np

from hvc_mm.evaluation.functional import pck


@dataclass(frozen=True)
class Benchmark:
    """How one benchmark's results are read.

    Attributes:
        name: How the command line calls it.
        config: Name of its config.
        title: How the report calls it.
        scores: Heads of columns to the metric's figures; the first one is
            what backbones are ranked by.
        sequence_score: From the metric's result of one video, and the
            metric's config, to the first score of that video alone, in
            percent.
        curves: From that result to J by frame, ``(T,)`` in percent, the mean
            over the objects; None where the benchmark has no such curve.
        takes_own_size: The protocol takes frames at their own size, so that
            another one can be asked for.
    """

    name: str
    config: str
    title: str
    scores: Mapping[str, str]
    sequence_score: Callable[[dict, Mapping], float]
    curve: Optional[Callable[[dict], List[float]]] = None
    takes_own_size: bool = False

    @property
    def metric(self) -> str:
        """Prefix of the metric's figures, and name of its folder."""
        return self.scores[self.headline].split('/')[0]

    @property
    def headline(self) -> str:
        """Head of the column that backbones are ranked by."""
        return next(iter(self.scores))

    def scores_of(self, metrics: Mapping[str, float]) -> Dict[str, float]:
        """Pick the scores, in percent, from what the metric returned."""
        return {head: float(metrics[k]) for head, k in self.scores.items()}


def _mean_over_objects(result: dict, metric: Mapping) -> float:
    return float(np.mean([o['J&F'] for o in result['objects'].values()]))


def _j_over_time(result: dict) -> List[float]:
    curves = [entry['J'] for entry in result['objects'].values()]
    return np.mean(curves, axis=0).round(3).tolist()


def _mean_iou(result: dict, metric: Mapping) -> float:
    return result['mIoU']


def _clip_pck(result: dict, metric: Mapping) -> float:
    clip = [np.array(result['gt'])], [np.array(result['pred_cells'])]
    options = {k: metric[k] for k in ('grid', 'box_share') if k in metric}
    return float(pck(*clip, [tuple(result['size'])], [0.1], **options)[0])


_DAVIS = {
    'J&F': 'davis/J&F',
    'J': 'davis/J_mean',
    'F': 'davis/F_mean',
}
BENCHMARKS = {
    benchmark.name: benchmark
    for benchmark in (
        Benchmark(
            'davis',
            'hvc_davis',
            'DAVIS-2017 val',
            _DAVIS,
            _mean_over_objects,
            _j_over_time,
            takes_own_size=True,
        ),
        Benchmark(
            'davis16',
            'hvc_davis16',
            'DAVIS-2016 val',
            _DAVIS,
            _mean_over_objects,
            _j_over_time,
            takes_own_size=True,
        ),
        Benchmark(
            'vip',
            'hvc_vip',
            'VIP val',
            {'mIoU': 'vip/mIoU'},
            _mean_iou,
        ),
        Benchmark(
            'jhmdb',
            'hvc_jhmdb',
            'JHMDB split 1',
            {f'PCK@0.{i}': f'jhmdb/PCK@0.{i}' for i in range(1, 6)},
            _clip_pck,
        ),
    )
}


def missing_data(dataset: Mapping[str, Any]) -> Optional[str]:
    """Tell what isn't there of a benchmark's data.

    Only what tells that a user hasn't got them at all: what is wrong with
    data that are there is the data set's to say.

    Args:
        dataset: The data set's config.

    Returns:
        The missing folder or list; None where there is data.
    """
    root = dataset.get('data_root', '')
    if not osp.isdir(root):
        return f'there is no folder {root}'
    listed = dataset.get('ann_file')
    if listed and not osp.isfile(osp.join(root, listed)):
        return f'there is no list {osp.join(root, listed)}'
    return None
