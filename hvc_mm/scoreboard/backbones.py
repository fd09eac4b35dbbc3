"""Name backbones, build them and try them, before hours are spent.

    [NAME=]FILE[:KEY=VALUE,...]         weights of a ResNet of any known layout
    [NAME=][SCOPE.]TYPE[:KEY=VALUE,...] a class of any OpenMMLab registry
    [NAME=]timm:MODEL[,KEY=VALUE,...]   a model of timm
    [NAME=]transformers:MODEL[,KEY=...] a folder, or a name on the hub
    BACKBONES.yaml (.yml, .json, .py)   a file of these, under ``backbones``

Keys: ``stage``, ``map``, ``weights``, ``layout``, ``prefix`` (which network of
the weights) and ``data_preprocessor``; any other one is an argument of the
backbone. They may follow a colon or a comma. What comes of it are overrides
of a benchmark's config.
"""

from __future__ import annotations

import argparse
import inspect
import os.path as osp
import re
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
import torch
from mmengine.config import Config, DictAction
from mmengine.registry import DefaultScope
from mmengine.utils import import_modules_from_strings
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from hvc_mm.checkpoint import (
    CheckpointError,
    find_network,
    local_weights,
    read_checkpoint,
    sha256_of,
    size_of,
)
from hvc_mm.engine.config_file import (
    ConfigError,
    load_config,
    load_values,
)
from hvc_mm.engine.hooks.protocol_log_hook import weight_files
from hvc_mm.models.backbones import unit_features
from hvc_mm.models.backbones.hvc_resnet import guess_resnet
from hvc_mm.registry import MODELS

from .entries import Backbone

__all__ = ['BackboneError', 'make_backbone', 'parse_backbones']

# Label propagation reads layer3 at stride 8.
_STAGE = 3
_STRIDES = (1, 2, 1, 1)
# Height and width of the frame that a backbone is tried on, at least.
_TRIAL = (128, 192)
# Classes for models of other libraries, and their argument for its name.
_LIBRARIES = {
    'timm': ('TimmBackbone', 'model_name'),
    'transformers': ('TransformersBackbone', 'model'),
}

_NAME = r'[\w+-][\w.+-]*'
_LISTS = ('.yaml', '.yml', '.json', '.py')
_WEIGHTS = ('.pth', '.pt', '.tar', '.ckpt', '.bin', '.safetensors')
_TYPE = re.compile(r'(\w+\.)*[A-Za-z_]\w*')
# Options begin at the first colon or comma, and at each comma, that `key=`
# follows.
_OPTIONS = re.compile(r'(?P<source>.+?)[:,](?P<options>[A-Za-z_][\w.]*=.*)')
_NEXT_OPTION = re.compile(r',(?=[A-Za-z_][\w.]*=)')


class BackboneError(ValueError):
    """A backbone can't be used; the message says which one and why."""


def parse_backbones(texts: Sequence[str]) -> Dict[str, Dict[str, Any]]:
    """Read texts of the forms above into keys and values by name, in order.

    Raises:
        BackboneError: A text that is none of the three forms, or a name that
            is used twice.
    """
    found: Dict[str, Dict[str, Any]] = {}
    for text in texts:
        is_list = text.lower().endswith(_LISTS)
        for name, entry in _read_list(text) if is_list else [_parse(text)]:
            if name in found:
                raise BackboneError(
                    f'several backbones are called {name}; give each a name '
                    'of its own, NAME=...'
                )
            _check_entry(name, entry, f'{text}: ' if is_list else '')
            found[name] = entry
    return found


def _read_list(path: str) -> List[Tuple[str, Any]]:
    """Read names and entries of a file's ``backbones``."""
    if not osp.isfile(path):
        raise BackboneError(f'there is no file of backbones {path}')
    is_code = path.lower().endswith('.py')
    try:
        content = load_config(path) if is_code else load_values(path)
    except ConfigError as error:
        raise BackboneError(str(error)) from error
    _import_modules(path, content.get('custom_imports'))
    named = content.get('backbones')
    if not isinstance(named, Mapping) or not named:
        raise BackboneError(
            f'{path}: expected `backbones`, a mapping of names to backbones, '
            f'found {type(named).__name__}'
        )
    return [
        _parse(entry, str(name))
        if isinstance(entry, str)
        else (str(name), entry)
        for name, entry in named.items()
    ]


def _import_modules(path: str, imports: Any) -> None:
    """Import the modules that register a file's classes."""
    if imports is None:
        return
    try:
        import_modules_from_strings(**imports)
    except Exception as error:  # whatever a module raises, too
        raise BackboneError(
            f'{path}: custom_imports {imports}: {type(error).__name__}: '
            f"{error}; expected dict(imports=['a.module', ...])"
        ) from error


def _parse(
    text: str, name: Optional[str] = None
) -> Tuple[str, Dict[str, Any]]:
    """Read one backbone's text: its name and entry."""
    rest = text
    named = re.fullmatch(f'({_NAME})=(.+)', text, re.DOTALL)
    # A path may well hold a `=` or `:key=` itself.
    if name is None and named and not osp.exists(text):
        name, rest = named.groups()
    split = None if osp.exists(rest) else _OPTIONS.fullmatch(rest)
    source = split['source'] if split else rest
    entry = _parse_options(split['options']) if split else {}
    if osp.isfile(source):
        stem = osp.splitext(osp.basename(source))[0]
        return name or _as_name(stem), dict(entry, weights=source)
    library, _, model = source.partition(':')
    if library in _LIBRARIES and model:
        kind, key = _LIBRARIES[library]
        stem = osp.basename(osp.normpath(model))
        return name or _as_name(stem), {'type': kind, key: model, **entry}
    if _TYPE.fullmatch(source) and not source.endswith(_WEIGHTS):
        return name or source, dict(entry, type=source)
    raise BackboneError(
        f'backbone {name or text}: there is no file {source}; expected a '
        'file of weights, or a class such as mmdet.ResNet:depth=50'
    )


def _as_name(text: str) -> str:
    return re.sub(r'[^\w+-]+', '-', text).strip('-')


def _parse_options(text: str) -> Dict[str, Any]:
    """Read ``key=value,key=value`` as ``--cfg-options`` would."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--options', nargs='+', action=DictAction)
    parts = _NEXT_OPTION.split(text)
    options = parser.parse_args(['--options', *parts]).options
    for key, _, value in (part.partition('=') for part in parts):
        if ',' in value and value[0] not in '([':
            raise BackboneError(f'option {key}={value}: expected KEY=VALUE')
        if isinstance(options[key], str):
            # DictAction drops blanks, which a path may have.
            options[key] = value.strip(' \'"')
    nested = Config()
    nested.merge_from_dict(options)
    return nested.to_dict()


def _check_entry(name: str, entry: Any, where: str) -> None:
    reason = ''
    if not re.fullmatch(_NAME, name):
        raise BackboneError(
            f'{where}backbone {name!r:.80}: expected a name of letters, '
            'digits and any of ._+-'
        )
    if not isinstance(entry, Mapping):
        reason = f'expected a text or a mapping, found {entry!r}'
    elif not entry.get('type') and not entry.get('weights'):
        reason = 'has neither a type nor weights'
    elif not isinstance(entry.get('stage', 1), int):
        reason = f'stage is {entry["stage"]!r}, expected a number from 1'
    else:
        maps = entry.get('map', 0)
        several = maps if isinstance(maps, (list, tuple)) else [maps]
        if not all(type(index) is int and index >= 0 for index in several):
            reason = f'map is {maps!r}, expected numbers from 0 on'
    if reason:
        raise BackboneError(f'{where}backbone {name}: {reason}')


def make_backbone(
    name: str,
    entry: Mapping[str, Any],
    frame_size: Optional[Tuple[int, int]] = None,
) -> Backbone:
    """Build a backbone, load its weights and try it on one frame.

    Args:
        name: How to call it.
        entry: Its keys and values, of :func:`parse_backbones`.
        frame_size: ``(H, W)`` of the frame, e.g. that of a run; None for a
            small one whose sides are multiples of the backbone's patch.

    Raises:
        BackboneError: The class isn't there or can't be built, the stage or
            map isn't there, or the weights can't be read or don't fit.
    """
    arguments = dict(entry)
    stage, index = arguments.pop('stage', None), arguments.pop('map', None)
    preprocessor = arguments.pop('data_preprocessor', {})
    weights = arguments.pop('weights', None)
    source = {'layout': arguments.pop('layout', 'auto')}
    if 'prefix' in arguments:
        source['prefix'] = arguments.pop('prefix')
    try:
        weights = weights and local_weights(str(weights))
        if 'type' in arguments:
            config, title = _config_of_type(arguments, stage)
        else:
            source['checkpoint'] = weights
            config, title = _config_of_file(source, stage, arguments)
            weights = None  # the config itself says where they are
        backbone = Backbone(
            name,
            {
                'model.backbone': {**config, '_delete_': True},
                'model.feature_index': index,
                'model.data_preprocessor': preprocessor,
                'load_from': weights,
            },
            title if index is None else f'{title}, map {index}',
        )
        if weights and 'prefix' in source:
            backbone.overrides['model.weights_prefix'] = source['prefix']
        _try_out(backbone, frame_size)
    except (BackboneError, CheckpointError) as error:
        raise BackboneError(f'backbone {name}: {error}') from error
    files = [weights, *weight_files(config)]
    backbone.weights = {
        path: sha256_of(path) for path in files if path and osp.isfile(path)
    }
    return backbone


def _config_of_file(
    source: Dict[str, Any], stage: Optional[int], arguments: Dict[str, Any]
) -> Tuple[Dict[str, Any], str]:
    """Configure the ResNet that a file of any known layout holds."""
    options = dict(source)
    path = options.pop('checkpoint')
    try:
        found = find_network(read_checkpoint(path), **options)
    except CheckpointError as error:
        raise BackboneError(f'{path}: {error}') from None
    if found.is_vit:
        raise BackboneError(
            f'{path}: holds a Vision Transformer of {size_of(found.tensors)}, '
            'and no file tells how to build one: name its network and give '
            f'it the file, TYPE:...,weights={path}'
        )
    depth, stages = guess_resnet(found.tensors)
    stage = _STAGE if stage is None else stage
    if not 1 <= stage <= stages:
        raise BackboneError(
            f'stage {stage} is not there: {path} holds a ResNet-{depth} with '
            f'stages 1 to {stages}'
        )
    config = dict(
        type='HVCResNet',
        depth=depth,
        strides=_STRIDES,
        out_indices=(stage - 1,),
        init_cfg=dict(type='hvc_mm.PretrainedBackbone', **source),
    )
    if found.layout == 'crw':
        config['padding_mode'] = 'reflect'
    return {**config, **arguments}, f'ResNet-{depth}, layer{stage}'


def _config_of_type(
    arguments: Dict[str, Any], stage: Optional[int]
) -> Tuple[Dict[str, Any], str]:
    """Configure a class of any registry."""
    kind = title = arguments['type']
    for library, (cls, key) in _LIBRARIES.items():
        if str(kind).split('.')[-1] == cls:
            title = f'{library}:{arguments.get(key)}'
    if stage is None:
        return arguments, str(title)
    parameters = inspect.signature(_class_of(kind)).parameters
    if 'out_indices' not in parameters:
        raise BackboneError(
            f'{kind} has no out_indices to choose a stage by; expected '
            'map=INDEX or an argument of its own'
        )
    config = {**arguments, 'out_indices': (stage - 1,)}
    return config, f'{title}, stage {stage}'


def _class_of(kind: str) -> type:
    """Find a class; names without a scope are this project's."""
    try:
        with DefaultScope.overwrite_default_scope('hvc_mm'):
            cls = MODELS.get(kind)
    except Exception:  # mmengine raises RuntimeError, older ones KeyError
        cls = None
    if not inspect.isclass(cls):
        raise BackboneError(
            f'{kind} is in no registry: is its project installed, and its '
            'name right? Expected e.g. HVCResNet, TorchvisionBackbone, '
            'mmdet.ResNet'
        )
    return cls


def _try_out(
    backbone: Backbone, frame_size: Optional[Tuple[int, int]]
) -> None:
    """Build it, check its weights, and compute the features of a frame."""
    network = _build(backbone)
    path = backbone.overrides['load_from']
    if path is not None:
        content = read_checkpoint(path)
        target = getattr(network, 'primary', network)
        prefix = backbone.overrides.get('model.weights_prefix')
        try:
            find_network(content, target.state_dict(), prefix=prefix)
        except CheckpointError as error:
            raise BackboneError(f'{path}: {error}') from None
    index = backbone.overrides['model.feature_index']
    size = frame_size or _trial_size(network)
    try:
        with torch.no_grad():
            maps = network(torch.zeros(1, 3, *size))
            features = unit_features(maps, index, tuple(size))
    except ValueError as error:
        hint = str(error).replace('feature_index', 'map')
        raise BackboneError(hint) from error
    except Exception as error:  # whatever a foreign network raises
        raise BackboneError(
            f'fails on a frame of {size[0]}x{size[1]}: {_message(error)}'
        ) from error
    backbone.channels = features.shape[1]
    backbone.stride = size[0] / features.shape[2]
    backbone.parameters = sum(p.numel() for p in network.parameters())
    norms = [m for m in network.modules() if isinstance(m, _BatchNorm)]
    backbone.has_batch_norm = bool(norms)


def _trial_size(network: nn.Module) -> Tuple[int, int]:
    """Round the trial frame up to multiples of the network's patches."""
    sides = {getattr(m, 'multiple', 1) for m in network.modules()}
    multiple = int(np.lcm.reduce(sorted(sides)))
    height, width = (-(-side // multiple) * multiple for side in _TRIAL)
    return height, width


def _build(backbone: Backbone) -> nn.Module:
    _class_of(backbone.config['type'])
    try:
        with DefaultScope.overwrite_default_scope('hvc_mm'):
            network = MODELS.build(backbone.config)
            if hasattr(network, 'init_weights'):
                network.init_weights()
    except Exception as error:  # whatever a foreign constructor raises
        message = f'{backbone.title} cannot be built: {_message(error)}'
        raise BackboneError(message) from error
    network.eval()  # mmdet's returns nothing
    return network


def _message(error: Exception) -> str:
    """Give an error's message; of an empty one (an assertion) its kind."""
    text = str(error).strip()
    return text or f'{type(error).__name__} without a message'
