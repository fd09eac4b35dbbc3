"""Build backbones and try them, before hours are spent.

What comes of a backbone are overrides of a benchmark's config.
"""

from __future__ import annotations

import inspect
import os.path as osp
from typing import Any, Dict, Iterable, Mapping, Optional, Tuple

import numpy as np
import torch
from mmengine.registry import DefaultScope
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
from hvc_mm.engine.hooks.protocol_log_hook import weight_files
from hvc_mm.models.backbones import unit_features
from hvc_mm.models.backbones.hvc_resnet import guess_resnet
from hvc_mm.registry import MODELS

from .backbone_texts import LIBRARIES, BackboneError
from .entries import Backbone

__all__ = ['make_backbone', 'try_frame_sizes']

# Label propagation reads layer3 at stride 8.
_STAGE = 3
_STRIDES = (1, 2, 1, 1)
# Height and width of the frame that a backbone is tried on, at least.
_TRIAL = (128, 192)


def make_backbone(name: str, entry: Mapping[str, Any]) -> Backbone:
    """Build a backbone, load its weights and try it on a small frame.

    Args:
        name: How to call it.
        entry: Its keys and values, of
            :func:`~hvc_mm.scoreboard.parse_backbones`.

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
        _try_out(backbone)
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
            f'it the file, timm:MODEL,weights={path} or TYPE:...,weights='
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
    for library, (cls, key) in LIBRARIES.items():
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


def _try_out(backbone: Backbone) -> None:
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
    size = _trial_size(network)
    shape = _features_of(network, backbone, size)
    backbone.channels = shape[1]
    backbone.stride = size[0] / shape[2]
    backbone.parameters = sum(p.numel() for p in network.parameters())
    norms = [m for m in network.modules() if isinstance(m, _BatchNorm)]
    backbone.has_batch_norm = bool(norms)


def try_frame_sizes(
    backbone: Backbone, sizes: Iterable[Tuple[int, int]]
) -> None:
    """Try a backbone on frames of a run's own sizes.

    Args:
        backbone: One of :func:`make_backbone`.
        sizes: Heights and widths in pixels.

    Raises:
        BackboneError: It can't take frames of one of the sizes.
    """
    network = _build(backbone)
    for size in sizes:
        try:
            _features_of(network, backbone, size)
        except BackboneError as error:
            raise BackboneError(
                f'backbone {backbone.name}: {error}'
            ) from error


def _features_of(
    network: nn.Module, backbone: Backbone, size: Tuple[int, int]
) -> Tuple[int, ...]:
    """Compute the features of a black frame; gives their shape."""
    index = backbone.overrides['model.feature_index']
    try:
        with torch.no_grad():
            maps = network(torch.zeros(1, 3, *size))
            return tuple(unit_features(maps, index, size).shape)
    except ValueError as error:
        hint = str(error).replace('feature_index', 'map')
        raise BackboneError(hint) from error
    except Exception as error:  # whatever a foreign network raises
        raise BackboneError(
            f'fails on a frame of {size[0]}x{size[1]}: {_message(error)}'
        ) from error


def _trial_size(network: nn.Module) -> Tuple[int, int]:
    """Round the trial frame up to multiples of the network's patches.

    Of a network that takes images of one size alone, that size.
    """
    of_patches = [m for m in network.modules() if hasattr(m, 'check_size')]
    for module in of_patches:
        if getattr(module, 'fixed_size', None):
            return module.fixed_size
    sides = [getattr(module, 'multiple', 1) for module in of_patches]
    multiple = int(np.lcm.reduce([1, *sides]))
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
