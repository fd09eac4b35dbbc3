"""A backbone on a benchmark by a protocol, and what was scored of it.

All that a run writes is in a folder that is named after its setting: a
changed setting finds nothing there and starts anew, an unchanged one goes on
after the last video that was scored.
"""

from __future__ import annotations

import logging
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Set, Tuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope

from hvc_mm.engine.hooks.protocol_log_hook import versions_of_code
from hvc_mm.registry import DATASETS, METRICS
from hvc_mm.utils.files import write_json

from .entries import Backbone, Benchmark
from .protocols import OWN, describe_protocol, resize_frames
from .results import FORMAT, read_entries, read_result
from .settings import (
    Survey,
    digest_features,
    digest_setting,
    frame_sizes,
    survey_data,
    wide_window,
)
from .strips import STRIPS

__all__ = ['Run', 'prepare_run']


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
        features: Digest of all that the features depend on.
        data: The videos and files that there are.
        meta: The data set's meta information.
        input_size: ``(H, W)`` that frames are brought to in place of the
            protocol's size, or None.
    """

    benchmark: Benchmark
    backbone: Backbone
    protocol: Optional[str]
    cfg: Config
    folder: Path
    key: str
    features: str
    data: Survey
    meta: Dict[str, Any]
    input_size: Optional[Tuple[int, int]] = None

    @property
    def names(self) -> Tuple[str, str, Optional[str]]:
        """Of its backbone, benchmark and protocol."""
        return self.backbone.name, self.benchmark.name, self.protocol

    @property
    def videos(self) -> List[str]:
        """All of the benchmark's, in its order."""
        return list(self.data.sizes)

    @property
    def frame_sizes(self) -> Set[Tuple[int, int]]:
        """Heights and widths that the backbone sees."""
        sizes = frame_sizes(self.cfg, self.data)
        return {size for size, _ in sizes.values()}

    @property
    def warning(self) -> Optional[str]:
        """What a reader of its score should know before."""
        return wide_window(self.cfg, self.backbone, self.data)

    def read(self) -> Optional[Dict[str, Any]]:
        """Read the result of an earlier run, if it was scored whole."""
        path = self.folder / 'result.json'
        if path.is_file():
            try:
                return self._read(path)
            except ValueError as error:
                print(f'{error}; summing up again', flush=True)
        return None

    def _read(self, path: Path) -> Dict[str, Any]:
        same = {
            'backbone.name': self.backbone.name,
            'benchmark.name': self.benchmark.name,
            'protocol.name': self.protocol,
            'key': self.key,
        }
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

    def summarise(self) -> Dict[str, Any]:
        """Sum up all videos, write ``result.json`` and return it.

        Raises:
            RuntimeError: A video has not been scored.
        """
        videos = self.finished_videos()
        missing = set(self.videos) - set(videos)
        if missing:
            raise RuntimeError(f'no scores of {", ".join(sorted(missing))}')
        scores = self.benchmark.scores
        results = {name: one['result'] for name, one in videos.items()}
        metric = self._metric()
        overall = _quietly(metric, list(results.values()))
        curves = {name: _curve(result) for name, result in results.items()}
        timing = read_entries(self.folder / 'timing', self.videos).values()
        frames = sum(entry['frames'] for entry in timing)
        seconds = sum(entry['seconds'] for entry in timing)
        size = self.input_size
        found = {
            'format': FORMAT,
            'backbone': self.backbone.as_dict(),
            'benchmark': {
                'name': self.benchmark.name,
                'title': self.benchmark.title,
                'headline': self.benchmark.headline,
                'counts': self.meta.get('counts', {}),
                'whole': self.meta.get('benchmark', {}),
                'fingerprint': self.data.fingerprint,
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
            'pooled': _pooled(metric, results, scores),
            'curves': {name: curve for name, curve in curves.items() if curve},
            'seconds_per_frame': seconds / frames if frames else None,
            'seed': self.cfg.randomness.get('seed'),
            'versions': _versions(),
            'strips': STRIPS if (self.folder / STRIPS).is_dir() else None,
        }
        path = self.folder / 'result.json'
        write_json(path, found)
        return self._read(path)


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
    data = survey_data(built)
    key = digest_setting(cfg, backbone, data)
    features = digest_features(cfg, backbone, data)
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
        features=features,
        data=data,
        meta=dict(built.metainfo),
        input_size=resized,
    )


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


def _pooled(
    metric: BaseMetric, results: Dict[str, dict], scores: Mapping[str, str]
) -> Optional[Dict[str, Any]]:
    """Collect what the scores are made of, by video."""
    videos = {}
    for name, result in results.items():
        found = metric.pooled(result)
        if found is None:
            return None
        videos[name] = {
            'numerators': {
                head: found.numerators[key] for head, key in scores.items()
            },
            'denominators': found.denominators,
        }
    return {'of_nothing': metric.of_nothing, 'videos': videos}


def _curve(result: dict) -> List[float]:
    """Average J by scored frame over the objects; empty without J."""
    objects = result.get('objects', {}).values()
    curves = [entry['J'] for entry in objects if 'J' in entry]
    return np.mean(curves, axis=0).round(3).tolist() if curves else []
