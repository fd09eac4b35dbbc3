"""Describe a test: all that a score depends on, as text in its log."""

from __future__ import annotations

import inspect
import os.path as osp
import platform
from glob import escape, glob
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence

import cv2
import mmcv
import mmengine
import numpy as np
import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from hvc_mm.checkpoint import local_weights, sha256_of
from hvc_mm.registry import (
    DATASETS,
    HOOKS,
    METRICS,
    MODELS,
    TASK_UTILS,
    TRANSFORMS,
)
from hvc_mm.version import __version__

from ..frame_sizes import check_frame_sizes

# How a metric or the search does its work, which no score depends on.
_NOT_PROTOCOL = (
    'native',
    'num_workers',
    'chunk_frames',
    'collect_device',
    'collect_dir',
    'results_dir',
    'per_sequence',
    'prefix',
    'init_cfg',
)
# A model's parts that are described on lines of their own.
_PARTS = ('data_preprocessor', 'backbone', 'propagator', 'codec')


@HOOKS.register_module()
class ProtocolLogHook(Hook):
    """Log the protocol, the data found, weights, seed and versions.

    A score in a log can be trusted and repeated when these come before it:
    see :func:`describe_test`.
    """

    priority = 'VERY_HIGH'

    @master_only
    def before_test(self, runner: Runner) -> None:
        """Log it, once the weights are loaded and the data are found.

        A data set that can check its annotations does so now: a wrong one
        should end the run before its first frame.
        """
        dataset = runner.test_dataloader.dataset
        for part in getattr(dataset, 'datasets', [dataset]):
            check_frame_sizes(part, runner.model)
            if hasattr(part, 'check_annotations'):
                part.check_annotations()
        found = describe_test(runner)
        width = max(map(len, found))
        lines = [f'{key:{width}}  {text}' for key, text in found.items()]
        runner.logger.info('\n'.join(['protocol of this test:', *lines]))

    def after_test(self, runner: Runner) -> None:
        """Let the model forget the last video, which logs how it went."""
        model = runner.model
        model = model.module if is_model_wrapper(model) else model
        if hasattr(model, 'reset'):
            model.reset()


def describe_test(runner: Runner) -> Dict[str, str]:
    """Describe what a run's test measures, and from what.

    Args:
        runner: A run whose test loop has been built and whose weights have
            been loaded.

    Returns:
        dict[str, str]: Text by subject: ``benchmark`` (what was found of what
        the whole of it has), ``protocol`` (the name that was asked for),
        ``data``, ``pipeline``, the model's parts
        and ``metric`` with all their numbers, defaults included, ``weights``
        (with sha256), ``seed``, ``versions`` and ``search`` (what finds the
        matches of label propagation), in this order.
    """
    loader = runner.test_dataloader
    model = runner.model
    model = model.module if is_model_wrapper(model) else model
    cfg = runner.cfg.get('model', {})
    found = {}
    found['benchmark'] = describe_counts(loader.dataset)
    if runner.cfg.get('protocol'):
        found['protocol'] = runner.cfg.protocol
    dataset = dict(runner.cfg.test_dataloader.dataset)
    steps = dataset.pop('pipeline', ())
    dataset.pop('benchmark', None)
    found['data'] = describe(dataset, DATASETS, defaults=False)
    found['pipeline'] = ' -> '.join(describe(s, TRANSFORMS) for s in steps)
    if cfg.get('type'):
        found['model'] = describe(cfg, MODELS, leave_out=_PARTS)
    for part in _PARTS:
        if cfg.get(part):
            registry = TASK_UTILS if part == 'codec' else MODELS
            found[part] = describe(cfg[part], registry)
    count = sum(p.numel() for p in model.parameters())
    found['parameters'] = f'{count:,}'
    metrics = runner.cfg.test_evaluator
    metrics = metrics if isinstance(metrics, (list, tuple)) else [metrics]
    found['metric'] = '; '.join(describe(m, METRICS) for m in metrics)
    found['weights'] = '; '.join(describe_weights(runner))
    found['seed'] = str(runner.seed)
    device = next(model.parameters(), torch.empty(0)).device
    found['versions'] = describe_versions(device)
    if hasattr(getattr(model, 'propagator', None), 'describe_search'):
        found['search'] = model.propagator.describe_search(device)
    return found


def describe_counts(dataset: Any) -> str:
    """Tell how much of a benchmark was found: ``'DAVIS-2017 val: 4 of ...'``.

    Where a data set has no ``counts`` in its meta information, as a
    ``VideoDataset`` has, its items are counted.
    """
    meta = getattr(dataset, 'metainfo', None) or {}
    whole = meta.get('benchmark', {})
    counts = meta.get('counts') or {'items': len(dataset)}
    name = whole.get('name', type(dataset).__name__)
    return f'{name}: {counts_of_total(counts, whole)}'


def counts_of_total(counts: Mapping, whole: Mapping) -> str:
    """Write counts, with the known ones of the whole benchmark.

    E.g. ``'4 of 30 videos, 236 of 1999 frames, 12 objects'``.
    """
    return ', '.join(
        f'{count} of {whole[what]} {what}'
        if what in whole
        else f'{count} {what}'
        for what, count in counts.items()
    )


def describe(
    cfg: Mapping,
    registry: Any,
    defaults: bool = True,
    leave_out: Sequence[str] = (),
) -> str:
    """Write a part's config like a call, ``'LabelPropagator(topk=15, ...)'``.

    Args:
        cfg: With ``type``.
        registry: Where the type is found.
        defaults: Also show arguments that the config leaves at their
            defaults.
        leave_out: Arguments that aren't shown.
    """
    given = arguments_of(cfg, registry, defaults)
    kind = cfg['type']
    name = kind if isinstance(kind, str) else kind.__name__
    text = ', '.join(
        f'{key}={value!r}'
        for key, value in given.items()
        if key not in leave_out
    )
    return f'{name}({text})'


def arguments_of(
    cfg: Mapping, registry: Any, defaults: bool = True
) -> Dict[str, Any]:
    """Collect a part's arguments, but for those that no score depends on.

    Args:
        cfg: With ``type``.
        registry: Where the type is found.
        defaults: Also those that the config leaves at their defaults.
    """
    given = {k: v for k, v in cfg.items() if k not in ('type', '_scope_')}
    if defaults:
        kind = cfg['type']
        cls = registry.get(kind) if isinstance(kind, str) else kind
        given = {**defaults_of(cls), **given}
    return {k: v for k, v in given.items() if k not in _NOT_PROTOCOL}


def defaults_of(cls: Optional[type]) -> Dict[str, Any]:
    """Collect the defaults of a class's constructor, by argument.

    Those of its bases count too where it passes keywords to them. There are
    none of a class that isn't known, None.
    """
    found: Dict[str, Any] = {}
    for base in getattr(cls, '__mro__', ()):
        if '__init__' not in vars(base):
            continue
        kinds = inspect.signature(base.__init__).parameters.values()
        for argument in kinds:
            if argument.default is not argument.empty:
                found.setdefault(argument.name, argument.default)
        if not any(a.kind is a.VAR_KEYWORD for a in kinds):
            break
    return found


def describe_weights(runner: Runner) -> List[str]:
    """Name every file of weights that a run was told to load, with its sha256.

    Its ``load_from`` and what its model names, see :func:`weight_files`.
    """
    paths = [runner.cfg.get('load_from')]
    paths += weight_files(runner.cfg.get('model', {}))
    found = []
    for path in dict.fromkeys(local_weights(str(p)) for p in paths if p):
        # What is downloaded (torchvision://, https://) has no file here.
        digest = sha256_of(path) if osp.isfile(path) else 'not a local file'
        found.append(f'{path} (sha256 {digest})')
    return found or [f'no file: initialised at random, seed {runner.seed}']


def describe_versions(device: torch.device) -> str:
    """List what a run's code depends on, and where the model runs.

    E.g. ``'hvc_mm 0.2.0, torch 2.6.0, ..., on cpu (x86_64)'``.
    """
    name = platform.machine()
    if device.type == 'cuda':
        name = torch.cuda.get_device_name(device)
    versions = versions_of_code()
    text = ', '.join(f'{key} {value}' for key, value in versions.items())
    return f'{text}, on {device.type} ({name})'


def versions_of_code() -> Dict[str, str]:
    """Collect the versions of what a run's code depends on, by name."""
    return {
        'hvc_mm': __version__,
        'torch': torch.__version__,
        'mmengine': mmengine.__version__,
        'mmcv': mmcv.__version__,
        'numpy': np.__version__,
        'opencv': cv2.__version__,
        'Python': platform.python_version(),
    }


def weight_files(cfg: Any) -> Iterator[str]:
    """Find the files of weights that a nested config names.

    Those of each ``init_cfg``, the ``weights`` of a backbone, and what a
    ``TransformersBackbone`` is made from: a folder's files, else a name.
    """
    if isinstance(cfg, Mapping):
        source = cfg.get('model')
        is_source = str(cfg.get('type')).endswith('TransformersBackbone')
        if is_source and isinstance(source, str):
            files = sorted(glob(osp.join(escape(source), '*.safetensors')))
            yield from files or [source]
        for key, value in cfg.items():
            if key == 'init_cfg':
                several = isinstance(value, (list, tuple))
                for entry in value if several else [value]:
                    if entry and entry.get('checkpoint'):
                        yield entry['checkpoint']
            elif key == 'weights' and isinstance(value, str):
                yield value
            else:
                yield from weight_files(value)
    elif isinstance(cfg, (list, tuple)):
        for value in cfg:
            yield from weight_files(value)
