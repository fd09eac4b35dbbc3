"""Look once over a run, before it writes its log and config.

What would end it later, or let it give another score than it seems to, is
told in one line.
"""

from __future__ import annotations

import inspect
import logging
import os.path as osp
import re
from difflib import get_close_matches
from typing import Any, Iterator, Mapping, Tuple

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import Registry

from hvc_mm import registry
from hvc_mm.checkpoint import read_checkpoint
from hvc_mm.datasets import check_folder

from .hooks.protocol_log_hook import weight_files
from .other_projects import check_projects

_MODES = {'train': 'training', 'val': 'validation', 'test': 'test'}
# Files whose names tell that their weights were made by Caffe; MSRA10K is a
# data set.
_CAFFE = re.compile('caffe|detectron|msra(?!10k)', re.IGNORECASE)


def preflight(cfg: Config, mode: str) -> None:
    """Make sure of what a run needs, before it writes anything.

    Args:
        cfg: A complete config.
        mode: ``'train'``, with a validation if the config has a part of
            one, or ``'test'``.

    Raises:
        ValueError: A part is missing, or its type is not known, or of a
            project that is not installed; with the config's file.
        FileNotFoundError: There is no folder of data; with what sets it.
    """
    check_projects(cfg)
    modes = [mode]
    if mode == 'train' and any(map(cfg.get, _needed('val'))):
        modes.append('val')
    for each in modes:
        _check_mode(cfg, each)
    if cfg.get('default_scope', 'hvc_mm') != 'hvc_mm':
        return  # the classes of other projects are for mmengine to find
    parts = [('model', cfg.model, registry.MODELS)]
    if cfg.model.get('backbone') is not None:
        parts.append(('model.backbone', cfg.model.backbone, registry.MODELS))
    for each in modes:
        parts += _parts_of_mode(cfg, each)
    for key, part, where in parts:
        _check_type(f'{cfg.filename}: {key}', part, where)
    if 'val' in modes and str(cfg.model['type']).split('.')[-1] == 'HVC':
        if cfg.get('val_model') is None:
            raise ValueError(
                f'{cfg.filename}: no val_model, which predicts what '
                'val_evaluator scores; expected one as in '
                'configs/_base_/datasets/davis17_minival.py'
            )
    for each in modes:
        _check_data(cfg[f'{each}_dataloader'].get('dataset'))


def check_style(cfg: Config) -> None:
    """Find weights made by Caffe for a ResNet that has its strides elsewhere.

    They fit, tensor by tensor, and give a low score. A file tells where it
    has the config of its training; else a name may.

    Args:
        cfg: A config whose ``load_from`` is settled.

    Raises:
        ValueError: The file's config says so. A name only warns.
    """
    part = cfg.model.get('backbone') or {}
    name = str(part.get('type')).split('.')[-1]
    if 'ResNet' not in name or part.get('depth', 18) < 50:
        return  # only bottlenecks have two places for a stride
    if part.get('style') == 'caffe':
        return
    for path in {*weight_files(part), cfg.get('load_from') or ''} - {''}:
        what = (
            f"{path}: Caffe's weights have the stride in the first "
            f'convolution of a bottleneck, {name} in the second; expected '
            "model.backbone.style='caffe', and their own mean, std and "
            'bgr_to_rgb in model.data_preprocessor'
        )
        if osp.isfile(path) and _was_caffe(path):
            raise ValueError(what)
        if _CAFFE.search(osp.basename(path)):
            print_log(what, 'current', logging.WARNING)


def _was_caffe(path: str) -> bool:
    """Tell whether a checkpoint's training had a backbone of this style."""
    meta = read_checkpoint(path).get('meta')
    text = str(meta.get('cfg') or '') if isinstance(meta, dict) else ''
    return bool(re.search(r"""style['"]?\s*[=:]\s*['"]caffe""", text))


def _check_mode(cfg: Config, mode: str) -> None:
    """Make sure that all parts of one of a run's loops are there."""
    needed = ('model', *_needed(mode))
    # Empty ones count: `test_cfg = dict()` is the default loop.
    missing = [key for key in needed if cfg.get(key) is None]
    if not missing:
        return
    hint = ''
    for other in {'train': ['test'], 'test': ['train']}.get(mode, []):
        if all(cfg.get(key) is not None for key in _needed(other)):
            hint = f' (this one is for tools/{other}.py)'
    raise ValueError(
        f'{cfg.filename}: no {", ".join(missing)}; expected a config of a '
        f'{_MODES[mode]}, with {", ".join(needed)}{hint}'
    )


def _check_data(dataset: Any) -> None:
    """Make sure that the folders of a data set, or of several, are there."""
    if isinstance(dataset, dict):
        root, sources = dataset.get('data_root'), dataset.get('sources')
        sources = [sources] if isinstance(sources, str) else sources
        # Sources that are absolute need no root.
        is_used = not sources or not all(map(osp.isabs, sources))
        if is_used and isinstance(root, str) and root and '://' not in root:
            check_folder(root, f'the data of {dataset.get("type")}')
        _check_data(list(dataset.values()))
    elif isinstance(dataset, (list, tuple)):
        for each in dataset:
            _check_data(each)


def _needed(mode: str) -> Tuple[str, ...]:
    last = 'optim_wrapper' if mode == 'train' else f'{mode}_evaluator'
    return f'{mode}_dataloader', f'{mode}_cfg', last


def _parts_of_mode(
    cfg: Config, mode: str
) -> Iterator[Tuple[str, Mapping, Registry]]:
    """Yield the parts that one of a run's loops has, by their keys."""
    data = cfg[f'{mode}_dataloader'].get('dataset') or {}
    yield f'{mode}_dataloader.dataset', data, registry.DATASETS
    for step in data.get('pipeline') or []:
        yield 'a step of the pipeline', step, registry.TRANSFORMS
    metrics = cfg.get(f'{mode}_evaluator') or []
    for metric in metrics if isinstance(metrics, list) else [metrics]:
        yield f'{mode}_evaluator', metric, registry.METRICS


def _check_type(key: str, part: Mapping, where: Registry) -> None:
    kind = part.get('type')
    if kind is None:
        raise ValueError(f'{key} has no type; expected a dict with one')
    if not isinstance(kind, str) or '.' in kind:
        return
    cls = where.get(kind)
    if cls is None:
        near = get_close_matches(kind, where.module_dict)
        hint = f'; did you mean {", ".join(near)}?' if near else ''
        raise ValueError(f'{key}: type {kind} is not registered{hint}')
    for parameter in inspect.signature(cls).parameters.values():
        named = parameter.kind is not parameter.VAR_KEYWORD
        if named and parameter.default is parameter.empty:
            if parameter.name not in part:
                raise ValueError(f'{key}: {kind} needs {parameter.name}')
