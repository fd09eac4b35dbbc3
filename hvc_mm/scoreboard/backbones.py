"""Name backbones, build them and try them, before hours are spent.

    [NAME=]FILE[:KEY=VALUE,...]         weights of a ResNet of any known layout
    [NAME=][SCOPE.]TYPE[:KEY=VALUE,...] a class of any OpenMMLab registry
    BACKBONES.yaml (.yml, .json, .py)   a file of these, under ``backbones``

Keys: ``stage``, ``map``, ``weights``, ``layout`` and ``data_preprocessor``;
any other one is an argument of the backbone. What comes of it are overrides
of a benchmark's config.
"""

from __future__ import annotations

import argparse
import inspect
import os.path as osp
import re
from dataclasses import dataclass, field, replace
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import torch
import yaml
from mmengine.config import Config, DictAction
from mmengine.registry import DefaultScope
from torch import nn

from hvc_mm.checkpoint import (
    CheckpointError,
    find_backbone,
    match_backbone,
    read_checkpoint,
    sha256_of,
)
from hvc_mm.engine.hooks.protocol_log_hook import weight_files
from hvc_mm.models.backbones import unit_features
from hvc_mm.models.backbones.hvc_resnet import guess_resnet
from hvc_mm.registry import MODELS

__all__ = ['Backbone', 'BackboneError', 'make_backbone', 'parse_backbones']

# Label propagation reads layer3 at stride 8.
_STAGE = 3
_STRIDES = (1, 2, 1, 1)
# Height and width of the frame that a backbone is tried on.
_TRIAL = (128, 192)

_NAME = r'[\w+-][\w.+-]*'
_LISTS = ('.yaml', '.yml', '.json', '.py')
_WEIGHTS = ('.pth', '.pt', '.tar', '.ckpt', '.bin')
_TYPE = re.compile(r'(\w+\.)*[A-Za-z_]\w*')
# Options begin at the first colon, and at each comma, that `key=` follows.
_OPTIONS = re.compile(r'(?P<source>.+?):(?P<options>[A-Za-z_][\w.]*=.*)')
_NEXT_OPTION = re.compile(r',(?=[A-Za-z_][\w.]*=)')


class BackboneError(ValueError):
    """A backbone can't be used; the message says which one and why."""


@dataclass
class Backbone:
    """A backbone that has been built and tried.

    Attributes:
        name: How the report calls it; also a folder's name.
        config: ``type`` and arguments, with the files of weights it names.
        load_from: A checkpoint that the run loads, or None.
        feature_index: Which of its maps, several are concatenated; None
            where it returns one.
        data_preprocessor: Changes to how frames are normalised.
        title: What it is, for the report.
        weights: sha256 by file.
        channels: Of its features.
        stride: Pixels per cell, along the height of the trial frame.
        parameters: Number of weights that are built.
    """

    name: str
    config: Dict[str, Any]
    load_from: Optional[str] = None
    feature_index: Any = None
    data_preprocessor: Dict[str, Any] = field(default_factory=dict)
    title: str = ''
    weights: Dict[str, str] = field(default_factory=dict)
    channels: int = 0
    stride: float = 0.0
    parameters: int = 0

    def as_dict(self) -> Dict[str, Any]:
        """Tell what it is, for programs."""
        return {
            'what': self.title,
            'config': self.config,
            'weights_sha256': self.weights,
            'channels': self.channels,
            'stride': self.stride,
            'parameters': self.parameters,
        }

    @property
    def overrides(self) -> Dict[str, Any]:
        """What it changes in a benchmark's config, by dotted key."""
        return {
            'model.backbone': {**self.config, '_delete_': True},
            'model.feature_index': self.feature_index,
            'model.data_preprocessor': self.data_preprocessor,
            'load_from': self.load_from,
        }


def parse_backbones(texts: Sequence[str]) -> Dict[str, Dict[str, Any]]:
    """Read what the command line names.

    Args:
        texts: See the head of this file.

    Returns:
        Keys and values by the backbone's name, in order.

    Raises:
        BackboneError: A text that is none of the three forms, or a name that
            is used twice.
    """
    found: Dict[str, Dict[str, Any]] = {}
    for text in texts:
        is_list = text.lower().endswith(_LISTS)
        entries = _read_list(text) if is_list else [_parse(text)]
        for name, entry in entries:
            if name in found:
                raise BackboneError(
                    f'several backbones are called {name}; give each a name '
                    'of its own, NAME=...'
                )
            _check_entry(name, entry)
            found[name] = entry
    return found


def _read_list(path: str) -> List[Tuple[str, Any]]:
    """Names and entries of a file's ``backbones``."""
    if not osp.isfile(path):
        raise BackboneError(f'there is no file of backbones {path}')
    try:
        if path.lower().endswith('.py'):
            content = Config.fromfile(path).to_dict()
        else:
            with open(path, encoding='utf-8') as file:
                content = yaml.safe_load(file)  # JSON is YAML, too
    except Exception as error:  # each format has errors of its own
        raise BackboneError(f'cannot read {path}: {error}') from error
    named = content.get('backbones') if isinstance(content, Mapping) else None
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


def _parse(
    text: str, name: Optional[str] = None
) -> Tuple[str, Dict[str, Any]]:
    """Name and entry of one backbone's text."""
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
        return name or re.sub(r'[^\w+-]+', '-', stem), dict(
            entry, weights=source
        )
    if _TYPE.fullmatch(source) and not source.endswith(_WEIGHTS):
        return name or source, dict(entry, type=source)
    raise BackboneError(
        f'backbone {name or text}: there is no file {source}; expected a '
        'file of weights, or a class such as mmdet.ResNet:depth=50'
    )


def _parse_options(text: str) -> Dict[str, Any]:
    """Read ``key=value,key=value`` as ``--cfg-options`` would.

    Dots in a key mean nested dicts.
    """
    parts = _NEXT_OPTION.split(text)
    for part in parts:
        value = part.partition('=')[2]
        if ',' in value and value[0] not in '([':
            raise BackboneError(f'option {part!r}: expected KEY=VALUE')
    parser = argparse.ArgumentParser()
    parser.add_argument('--options', nargs='+', action=DictAction)
    nested = Config()
    nested.merge_from_dict(parser.parse_args(['--options', *parts]).options)
    return nested.to_dict()


def _check_entry(name: str, entry: Any) -> None:
    reason = ''
    if not re.fullmatch(_NAME, name):
        raise BackboneError(
            f'backbone {name!r}: expected a name of letters, digits and any '
            'of ._+-'
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
        if not all(isinstance(index, int) for index in several):
            reason = f'map is {maps!r}, expected numbers from 0 on'
    if reason:
        raise BackboneError(f'backbone {name}: {reason}')


def make_backbone(name: str, entry: Mapping[str, Any]) -> Backbone:
    """Build a backbone, load its weights and try it on one frame.

    Args:
        name: How to call it.
        entry: Its keys and values, of :func:`parse_backbones`.

    Returns:
        Backbone: Ready to be scored.

    Raises:
        BackboneError: The class isn't there or can't be built, the stage or
            map isn't there, or the weights can't be read or don't fit.
    """
    arguments = dict(entry)
    stage = arguments.pop('stage', None)
    weights = arguments.pop('weights', None)
    layout = arguments.pop('layout', 'auto')
    options = {
        'feature_index': arguments.pop('map', None),
        'data_preprocessor': arguments.pop('data_preprocessor', {}),
    }
    try:
        if 'type' in arguments:
            backbone = _of_type(arguments, stage)
            backbone.load_from = weights
        else:
            backbone = _of_file(weights, layout, stage, arguments)
        backbone = replace(backbone, name=name, **options)
        if backbone.feature_index is not None:
            backbone.title += f', map {backbone.feature_index}'
        _try_out(backbone)
    except (BackboneError, CheckpointError) as error:
        raise BackboneError(f'backbone {name}: {error}') from error
    files = [backbone.load_from, *weight_files(backbone.config)]
    backbone.weights = {
        path: sha256_of(path) for path in files if path and osp.isfile(path)
    }
    return backbone


def _of_file(
    path: str, layout: str, stage: Optional[int], arguments: Dict[str, Any]
) -> Backbone:
    """The ResNet that a file of any known layout holds."""
    try:
        found = find_backbone(read_checkpoint(path), layout)
    except CheckpointError as error:
        named = '' if str(error).startswith(path) else f'{path}: '
        raise BackboneError(f'{named}{error}') from None
    depth, stages = guess_resnet(found.tensors)
    stage = _STAGE if stage is None else stage
    if not 1 <= stage <= stages:
        raise BackboneError(
            f'stage {stage} is not there: {path} holds a ResNet-{depth} with '
            f'stages 1 to {stages}'
        )
    init_cfg = dict(checkpoint=path, layout=layout)
    config = dict(
        type='HVCResNet',
        depth=depth,
        strides=_STRIDES,
        out_indices=(stage - 1,),
        init_cfg=dict(type='hvc_mm.PretrainedBackbone', **init_cfg),
    )
    if found.layout == 'crw':
        config['padding_mode'] = 'reflect'
    config.update(arguments)
    return Backbone('', config, title=f'ResNet-{depth}, layer{stage}')


def _of_type(arguments: Dict[str, Any], stage: Optional[int]) -> Backbone:
    """A class of any registry."""
    kind = arguments['type']
    backbone = Backbone('', dict(arguments), title=str(kind))
    if stage is None:
        return backbone
    parameters = inspect.signature(_class_of(kind)).parameters
    if 'out_indices' not in parameters:
        raise BackboneError(
            f'{kind} has no out_indices to choose a stage by; expected '
            'map=INDEX or an argument of its own'
        )
    backbone.config['out_indices'] = (stage - 1,)
    backbone.title += f', stage {stage}'
    return backbone


def _class_of(kind: str) -> type:
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


def _try_out(backbone: Backbone) -> None:
    """Build it, check its weights, and compute the features of a frame."""
    # Names without a scope are this project's, whatever ran before.
    with DefaultScope.overwrite_default_scope('hvc_mm'):
        network = _build(backbone)
    if backbone.load_from is not None:
        content = read_checkpoint(backbone.load_from)
        target = getattr(network, 'primary', network)
        try:
            match_backbone(content, target.state_dict())
        except CheckpointError as error:
            where = f'{backbone.load_from} for {type(network).__name__}'
            raise BackboneError(f'{where}: {error}') from None
    try:
        with torch.no_grad():
            maps = network(torch.zeros(1, 3, *_TRIAL))
            features = unit_features(maps, backbone.feature_index)
    except ValueError as error:
        raise BackboneError(
            str(error).replace('feature_index', 'map')
        ) from error
    except Exception as error:  # whatever a foreign network raises
        raise BackboneError(
            f'fails on a frame of {_TRIAL[0]}x{_TRIAL[1]}: {_said(error)}'
        ) from error
    backbone.channels = features.shape[1]
    backbone.stride = _TRIAL[0] / features.shape[2]
    backbone.parameters = sum(p.numel() for p in network.parameters())


def _build(backbone: Backbone) -> nn.Module:
    kind = backbone.config['type']
    _class_of(kind)
    try:
        network = MODELS.build(dict(backbone.config))
        if hasattr(network, 'init_weights'):
            network.init_weights()
    except Exception as error:  # whatever a foreign constructor raises
        raise BackboneError(
            f'{backbone.title} cannot be built: {_said(error)}'
        ) from error
    network.eval()  # mmdet's returns nothing
    return network


def _said(error: Exception) -> str:
    """An error's message; of an empty one (an assertion) its kind."""
    text = str(error).strip()
    return text or f'{type(error).__name__} without a message'
