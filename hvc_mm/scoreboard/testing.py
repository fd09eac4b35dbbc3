"""Score runs that share their features, or what earlier ones left of them."""

from __future__ import annotations

import copy
import gc
import time
from typing import Dict, Iterable, List, Sequence, Tuple

import torch
from mmengine.config import Config
from mmengine.runner import Runner

from .frame_timer import FrameTimer
from .protocols import OWN
from .runs import Run
from .shared_features import ProtocolHooks
from .strips import StripWriter

__all__ = ['group_runs', 'score_together']


def group_runs(runs: Iterable[Run]) -> List[List[Run]]:
    """Put together the runs whose features are the same, in order."""
    groups: Dict[str, List[Run]] = {}
    for run in runs:
        groups.setdefault(run.features, []).append(run)
    return list(groups.values())


def score_together(runs: Sequence[Run]) -> List[dict]:
    """Score what no earlier run has scored; features are computed once.

    Args:
        runs: Runs with the same features, see :func:`group_runs`.

    Returns:
        list: The result of each run, as
        :mod:`~hvc_mm.scoreboard.results` has it; also in ``result.json`` in
        its folder.
    """
    results = [run.read() for run in runs]
    left = [run for run, result in zip(runs, results) if result is None]
    # Earlier runs may have ended after different videos.
    missing: Dict[Tuple[int, ...], List[str]] = {}
    done = [run.finished_videos() for run in left]
    for video in left[0].videos if left else ():
        which = [i for i, videos in enumerate(done) if video not in videos]
        if which:
            missing.setdefault(tuple(which), []).append(video)
    for which, videos in missing.items():
        _test([left[i] for i in which], videos)
    return [
        run.summarise() if result is None else result
        for run, result in zip(runs, results)
    ]


def _test(runs: Sequence[Run], videos: List[str]) -> None:
    """Let mmengine's runner score some videos."""
    runner = Runner.from_cfg(_shared_config(runs, videos))
    hooks = [
        [FrameTimer(run.folder / 'timing'), StripWriter(run.folder)]
        for run in runs
    ]
    runner.register_hook(ProtocolHooks(hooks))
    runner.test()
    del runner
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _shared_config(runs: Sequence[Run], videos: List[str]) -> Config:
    """Make one config of several runs; logs go to the first one's folder."""
    first = runs[0]
    cfg = copy.deepcopy(first.cfg)
    cfg.model.type = 'hvc_mm.SharedFeaturesVOS'
    cfg.model.protocols = [
        {key: run.cfg.model[key] for key in ('propagator', 'codec')}
        for run in runs
    ]
    cfg.protocol = ', '.join(run.protocol or OWN for run in runs)
    cfg.test_evaluator = dict(
        type='hvc_mm.ProtocolEvaluator',
        metrics=[run.cfg.test_evaluator for run in runs],
    )
    cfg.test_dataloader.dataset.videos = videos
    # mmengine's own name is a time in seconds; small runs are faster.
    names = (first.backbone.name, first.benchmark.name, str(time.time_ns()))
    cfg.experiment_name = '-'.join(names)
    return cfg
