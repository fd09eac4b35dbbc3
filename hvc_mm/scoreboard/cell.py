"""One field of the scoreboard: a backbone on a benchmark.

Everything about it lies in a folder of its own that is named after its
setting: a changed setting finds nothing there and starts anew, an unchanged
one goes on after the last video that was scored.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from hvc_mm.engine.hooks.protocol_log_hook import describe, describe_versions
from hvc_mm.registry import DATASETS, METRICS, MODELS, TASK_UTILS
from hvc_mm.utils.files import write_json
from hvc_mm.version import __version__

from .benchmarks import Benchmark
from .candidate import Candidate, grid_of
from .frame_timer import FrameTimer

# What a score doesn't depend on.
_EVALUATOR_RUNS = ('num_workers', 'chunk_frames', 'results_dir')
# Where a metric may write to, which the report needn't tell.
_OUTPUTS = ('out_dir', 'format_only', 'zip_path', 'zip_root')
_KEY_LENGTH = 12


@dataclass
class Cell:
    """A backbone on a benchmark, ready to run.

    Attributes:
        benchmark: The benchmark.
        candidate: The backbone.
        cfg: The complete config; what it writes goes to ``folder``.
        folder: Of this setting.
        key: Digest of all that the score depends on.
        videos: All of the benchmark's, in its order.
        meta: The data set's meta information.
    """

    benchmark: Benchmark
    candidate: Candidate
    cfg: Config
    folder: Path
    key: str
    videos: List[str]
    meta: Dict[str, Any]

    @property
    def result_path(self) -> Path:
        """Where the finished cell's result is."""
        return self.folder / 'result.json'

    def result(self) -> Optional[dict]:
        """Read the result of an earlier run; None without one."""
        if not self.result_path.is_file():
            return None
        return json.loads(self.result_path.read_text(encoding='utf-8'))

    def finished_videos(self) -> Dict[str, dict]:
        """Read what the metric kept of videos that have been scored."""
        folder = self.folder / 'scores' / self.benchmark.metric / 'videos'
        return _read_videos(folder, self.videos)


def make_cell(
    benchmark: Benchmark,
    candidate: Candidate,
    cfg: Config,
    out_dir: Path,
    input_size: Optional[Tuple[int, int]] = None,
) -> Cell:
    """Put a backbone into a benchmark's config.

    Args:
        benchmark: The benchmark.
        candidate: The backbone.
        cfg: The benchmark's config as ``tools/test.py`` reads it; changed in
            place.
        out_dir: The report's folder.
        input_size: ``(H, W)`` of the frames that the network sees, where the
            protocol takes frames at their own size.

    Returns:
        Cell: It has not run yet.

    Raises:
        FileNotFoundError, ValueError: The data set's complaints.
    """
    cfg.model.backbone = candidate.backbone
    cfg.model.feature_index = candidate.feature_index
    cfg.model.data_preprocessor.update(candidate.data_preprocessor)
    cfg.load_from = candidate.load_from
    if input_size is not None:
        resize_frames(cfg, input_size)
    _set_grid(cfg, candidate)
    dataset = cfg.test_dataloader.dataset
    with DefaultScope.overwrite_default_scope('hvc_mm'):
        built = DATASETS.build({**dataset, 'pipeline': []})
    videos, fingerprint = _survey(built)
    key = _digest(cfg, candidate, fingerprint)
    folder = out_dir / 'runs' / candidate.name / benchmark.name / key
    cfg.work_dir = str(folder)
    cfg.test_evaluator.results_dir = str(folder / 'scores')
    meta = dict(built.metainfo)
    return Cell(benchmark, candidate, cfg, folder, key, videos, meta)


def resize_frames(cfg: Config, size: Tuple[int, int]) -> None:
    """Let the network see frames at another size than their own.

    Labels and scores stay at the frames' own size. A pipeline that has a
    size already, as the protocols of VIP and JHMDB, is left alone.

    Args:
        cfg: A test config, changed in place.
        size: ``(H, W)`` in pixels.
    """
    for step in cfg.test_dataloader.dataset.pipeline:
        if step['type'] == 'ResizeFrame' and step.get('size') is None:
            # Most frames shrink: average, so that nothing is skipped.
            step.update(size=tuple(size), interpolation='area')


def run_cell(cell: Cell) -> dict:
    """Score a cell, or what is left of it.

    Args:
        cell: The cell.

    Returns:
        dict: ``scores`` (percent, by head), ``sequences`` (the first score
        by video), ``curves``, ``seconds_per_frame``, counts and setting
        (``protocol`` is text); also written to the cell's ``result.json``.
    """
    earlier = cell.result()
    if earlier is not None:
        return earlier
    done = cell.finished_videos()
    left = [name for name in cell.videos if name not in done]
    if left:
        metrics = _run(cell, done, left)
    else:
        # It ended between the last video and its summary.
        metrics = _summarise(cell, done)
    result = _result(cell, metrics)
    write_json(cell.result_path, result)
    return result


def _run(cell: Cell, done: Dict[str, dict], left: List[str]) -> dict:
    cfg = cell.cfg
    if done:
        cfg.test_dataloader.dataset.videos = left
    # mmengine's own name is a time in seconds; small runs are faster.
    names = (cell.candidate.name, cell.benchmark.name, str(time.time_ns()))
    cfg.experiment_name = '-'.join(names)
    runner = Runner.from_cfg(cfg)
    runner.register_hook(FrameTimer(cell.folder / 'timing'))
    for metric in runner.test_loop.evaluator.metrics:
        metric.results.extend(done.values())
    metrics = runner.test()
    del runner
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return metrics


def _summarise(cell: Cell, done: Dict[str, dict]) -> dict:
    with DefaultScope.overwrite_default_scope('hvc_mm'):
        metric = METRICS.build(cell.cfg.test_evaluator)
    metric.dataset_meta = cell.meta
    metric.results.extend(done.values())
    return metric.evaluate(0)


def _result(cell: Cell, metrics: Dict[str, float]) -> dict:
    benchmark = cell.benchmark
    evaluator = cell.cfg.test_evaluator
    videos = cell.finished_videos()
    timing = _read_videos(cell.folder / 'timing', cell.videos).values()
    frames = sum(entry['frames'] for entry in timing)
    seconds = sum(entry['seconds'] for entry in timing)
    curves = {}
    if benchmark.curve is not None:
        curves = {name: benchmark.curve(r) for name, r in videos.items()}
    return {
        'backbone': cell.candidate.name,
        'benchmark': benchmark.name,
        'key': cell.key,
        'scores': benchmark.scores_of(metrics),
        'sequences': {
            name: benchmark.sequence_score(result, evaluator)
            for name, result in videos.items()
        },
        'curves': curves,
        'seconds_per_frame': seconds / frames if frames else None,
        'protocol': _protocol(cell.cfg),
        'counts': cell.meta.get('counts', {}),
        'whole': cell.meta.get('benchmark', {}),
        'weights': cell.candidate.weights,
        'seed': cell.cfg.randomness.get('seed'),
        'ran_with': describe_versions(torch.device(get_device())),
    }


def _protocol(cfg: Config) -> str:
    """The numbers that all backbones share on a benchmark."""
    parts = (
        (cfg.model.propagator, MODELS),
        (cfg.model.codec, TASK_UTILS),
        (cfg.test_evaluator, METRICS),
    )
    with DefaultScope.overwrite_default_scope('hvc_mm'):
        return '; '.join(
            describe(part, registry, leave_out=_OUTPUTS)
            for part, registry in parts
        )


def _set_grid(cfg: Config, candidate: Candidate) -> None:
    """Tell a metric that counts in cells how many there are."""
    if 'grid' not in cfg.test_evaluator:
        return
    size = next(
        step['size']
        for step in cfg.test_dataloader.dataset.pipeline
        if step['type'] == 'ResizeFrame'
    )
    rows, columns = grid_of(candidate, tuple(size))
    if rows != columns:
        raise ValueError(
            f'backbone {candidate.name}: a frame of {size} gives a grid of '
            f'{rows}x{columns}; expected as many rows as columns'
        )
    cfg.test_evaluator.grid = rows


def _survey(dataset: Any) -> Tuple[List[str], str]:
    """The videos, and a digest of which files there are, and their sizes.

    Contents aren't read: it is to notice another sample in the same folder,
    not a forger.
    """
    videos: Dict[str, None] = {}
    digest = hashlib.sha256()
    for index in range(len(dataset)):
        item = dataset.get_data_info(index)
        videos[item['video']] = None
        for path in (item['img_path'], item.get('gt_path')):
            size = os.path.getsize(path) if path else 0
            name = os.path.basename(path or '')
            digest.update(f'{item["video"]}/{name} {size}\n'.encode())
    return list(videos), digest.hexdigest()


def _digest(cfg: Config, candidate: Candidate, fingerprint: str) -> str:
    evaluator = dict(cfg.test_evaluator)
    for key in _EVALUATOR_RUNS:
        evaluator.pop(key, None)
    setting = {
        'model': cfg.model,
        'weights': candidate.weights,
        'load_from': cfg.load_from,
        'dataset': cfg.test_dataloader.dataset,
        'files': fingerprint,
        'metric': evaluator,
        'randomness': cfg.get('randomness'),
        'hvc_mm': __version__,
    }
    text = json.dumps(setting, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:_KEY_LENGTH]


def _read_videos(folder: Path, names: List[str]) -> Dict[str, dict]:
    found = {}
    for name in names:
        path = folder / f'{name}.json'
        if path.is_file():
            found[name] = json.loads(path.read_text(encoding='utf-8'))
    return found
