"""Score a backbone on a benchmark, or what an earlier run left of it.

All that a run writes is in a folder that is named after its setting: a
changed setting finds nothing there and starts anew, an unchanged one goes on
after the last video that was scored.
"""

from __future__ import annotations

import gc
import hashlib
import json
import logging
import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from hvc_mm.engine.hooks.protocol_log_hook import versions_of_code
from hvc_mm.registry import DATASETS, METRICS
from hvc_mm.utils.files import write_json
from hvc_mm.version import __version__

from .entries import Backbone, Benchmark
from .frame_timer import FrameTimer
from .protocols import OWN, describe_protocol, resize_frames
from .results import FORMAT, read_entries, read_result

__all__ = ['Run', 'prepare_run']

# What a score doesn't depend on.
_NOT_SETTING = ('num_workers', 'chunk_frames', 'results_dir', 'force')
# Digits of a folder's name: few enough to read, enough to differ.
_KEY_LENGTH = 12


@dataclass
class Run:
    """A backbone on a benchmark, by a protocol.

    Attributes:
        benchmark: The benchmark.
        backbone: The backbone.
        protocol: Name of the protocol, or None for the config's own.
        cfg: The complete config; what it writes goes to ``folder``.
        folder: Of this setting.
        key: Digest of all that the score depends on.
        videos: All of the benchmark's, in its order.
        meta: The data set's meta information.
        fingerprint: Digest of the names and sizes of the data's files.
        input_size: ``(H, W)`` that frames are brought to in place of the
            protocol's size, or None.
    """

    benchmark: Benchmark
    backbone: Backbone
    protocol: Optional[str]
    cfg: Config
    folder: Path
    key: str
    videos: List[str]
    meta: Dict[str, Any]
    fingerprint: str
    input_size: Optional[Tuple[int, int]] = None

    def score(self) -> Dict[str, Any]:
        """Score what no earlier run has scored.

        Returns:
            dict: Scores and all that they depend on, as
            :mod:`~hvc_mm.scoreboard.results` has it; also in
            ``result.json`` in the folder.
        """
        path = self.folder / 'result.json'
        same = {
            'backbone.name': self.backbone.name,
            'benchmark.name': self.benchmark.name,
            'protocol.name': self.protocol,
            'key': self.key,
        }
        if path.is_file():
            try:
                return read_result(path, same)
            except ValueError as error:
                print(f'{error}; summing up again', flush=True)
        done = self.finished_videos()
        left = [name for name in self.videos if name not in done]
        if left:
            _test(self, left)
            done = self.finished_videos()
        write_json(path, self._summarise(done))
        return read_result(path, same)

    def finished_videos(self) -> Dict[str, dict]:
        """Read what the metric kept of videos that have been scored.

        Returns:
            By video, its ``result`` and the ``figures`` that the metric makes
            of it alone. Results that the metric refuses, as the fractions
            that hvc_mm 0.1 wrote, are left out: they are scored again.
        """
        metric = self._metric()
        folder, metric.results_dir = metric.results_dir, None
        found = {}
        entries = read_entries(folder / 'videos', self.videos)
        for name, result in entries.items():
            try:
                figures = _quietly(metric, [result])
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                print(f'{name} is scored again: {error}', flush=True)
            else:
                found[name] = {'result': result, 'figures': figures}
        return found

    def _metric(self) -> BaseMetric:
        with DefaultScope.overwrite_default_scope('hvc_mm'):
            metric = METRICS.build(self.cfg.test_evaluator)
        metric.dataset_meta = self.meta
        return metric

    def _summarise(self, videos: Dict[str, dict]) -> Dict[str, Any]:
        missing = set(self.videos) - set(videos)
        if missing:
            raise RuntimeError(f'no scores of {", ".join(sorted(missing))}')
        scores = self.benchmark.scores
        results = {name: one['result'] for name, one in videos.items()}
        overall = _quietly(self._metric(), list(results.values()))
        curves = {name: _curve(result) for name, result in results.items()}
        timing = read_entries(self.folder / 'timing', self.videos).values()
        frames = sum(entry['frames'] for entry in timing)
        seconds = sum(entry['seconds'] for entry in timing)
        size = self.input_size
        return {
            'format': FORMAT,
            'backbone': self.backbone.as_dict(),
            'benchmark': {
                'name': self.benchmark.name,
                'title': self.benchmark.title,
                'headline': self.benchmark.headline,
                'counts': self.meta.get('counts', {}),
                'whole': self.meta.get('benchmark', {}),
                'fingerprint': self.fingerprint,
            },
            'protocol': describe_protocol(self.cfg, self.protocol, size),
            'key': self.key,
            'unit': 'percent',
            'scores': {head: overall[key] for head, key in scores.items()},
            'sequences': {
                name: {
                    head: one['figures'][key] for head, key in scores.items()
                }
                for name, one in videos.items()
            },
            'curves': {name: curve for name, curve in curves.items() if curve},
            'seconds_per_frame': seconds / frames if frames else None,
            'seed': self.cfg.randomness.get('seed'),
            'versions': _versions(),
            'strips': None,
        }


def prepare_run(
    benchmark: Benchmark,
    backbone: Backbone,
    cfg: Config,
    out_dir: Path,
    input_size: Optional[Tuple[int, int]] = None,
    protocol: Optional[str] = None,
) -> Run:
    """Put a backbone into a benchmark's config.

    Args:
        benchmark: The benchmark.
        backbone: The backbone.
        cfg: The benchmark's config as ``tools/test.py`` reads it, with the
            protocol; changed in place.
        out_dir: The report's folder.
        input_size: ``(H, W)`` of the frames that the network sees, see
            :func:`~hvc_mm.scoreboard.protocols.resize_frames`.
        protocol: Name of the protocol, or None for the config's own.

    Raises:
        FileNotFoundError, ValueError: The data set's complaints.
    """
    cfg.merge_from_dict(backbone.overrides)
    resized = resize_frames(cfg, input_size, protocol)
    dataset = cfg.test_dataloader.dataset
    with DefaultScope.overwrite_default_scope('hvc_mm'):
        built = DATASETS.build({**dataset, 'pipeline': []})
    videos, fingerprint = _survey(built)
    key = _digest(cfg, backbone, fingerprint)
    names = (backbone.name, benchmark.name, protocol or OWN, key)
    folder = out_dir.joinpath('runs', *names)
    cfg.work_dir = str(folder)
    cfg.test_evaluator.results_dir = str(folder / 'scores')
    return Run(
        benchmark=benchmark,
        backbone=backbone,
        protocol=protocol,
        cfg=cfg,
        folder=folder,
        key=key,
        videos=videos,
        meta=dict(built.metainfo),
        fingerprint=fingerprint,
        input_size=resized,
    )


def _survey(dataset: Any) -> Tuple[List[str], str]:
    """List the videos, and digest which files there are, and their sizes."""
    # Contents aren't read: it is to notice another sample in the same folder,
    # not a forger.
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


def _digest(cfg: Config, backbone: Backbone, fingerprint: str) -> str:
    evaluator = cfg.test_evaluator.items()
    setting = {
        'model': cfg.model,
        'weights': backbone.weights,
        'load_from': cfg.load_from,
        'dataset': cfg.test_dataloader.dataset,
        'files': fingerprint,
        'metric': {k: v for k, v in evaluator if k not in _NOT_SETTING},
        'randomness': cfg.get('randomness'),
        'hvc_mm': __version__,
    }
    text = json.dumps(setting, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:_KEY_LENGTH]


def _test(run: Run, videos: List[str]) -> None:
    """Let mmengine's runner score some videos."""
    cfg = run.cfg
    cfg.test_dataloader.dataset.videos = videos
    # mmengine's own name is a time in seconds; small runs are faster.
    names = (run.backbone.name, run.benchmark.name, str(time.time_ns()))
    cfg.experiment_name = '-'.join(names)
    runner = Runner.from_cfg(cfg)
    runner.register_hook(FrameTimer(run.folder / 'timing'))
    runner.test()
    del runner
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _versions() -> Dict[str, Any]:
    """Collect what else times, and last digits of scores, depend on."""
    found = versions_of_code()
    return {
        **{key.lower(): value for key, value in found.items()},
        'device': _device_name(),
        'threads': torch.get_num_threads(),
    }


def _device_name() -> str:
    """Name the GPU, or else the CPU."""
    if get_device() == 'cuda':
        return torch.cuda.get_device_name()
    listed = Path('/proc/cpuinfo')
    for line in listed.read_text().splitlines() if listed.is_file() else ():
        if line.startswith('model name'):
            return line.partition(':')[2].strip()
    return platform.processor() or platform.machine()


def _quietly(metric: BaseMetric, results: List[dict]) -> Dict[str, float]:
    """Let a metric score some videos, without a table in the log."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        return metric.compute_metrics(results)
    finally:
        logger.setLevel(level)


def _curve(result: dict) -> List[float]:
    """Average J by scored frame over the objects; empty without J."""
    objects = result.get('objects', {}).values()
    curves = [entry['J'] for entry in objects if 'J' in entry]
    return np.mean(curves, axis=0).round(3).tolist() if curves else []
