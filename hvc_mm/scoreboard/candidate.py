"""From a spec to a backbone that is known to work, before hours are spent.

Shapes: N frames, C channels, h w feature grid.
"""

from __future__ import annotations

import inspect
import os.path as osp
from dataclasses import dataclass, field
from typing import Any, Dict, Optional, Tuple

import torch
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

from .backbone_spec import BackboneSpec

# Label propagation reads layer3 at stride 8.
_STAGE = 3
_STRIDES = (1, 2, 1, 1)
# Height and width of the frame that a backbone is tried on.
_PROBE = 128


@dataclass
class Candidate:
    """A backbone that has been built and tried.

    Attributes:
        name: How the report calls it.
        backbone: Its config, with the files of weights that it names.
        load_from: A checkpoint that the run loads, or None.
        feature_index: Which of its maps; None where it returns one.
        data_preprocessor: Changes to how frames are normalised.
        weights: sha256 by file.
        title: What it is, for the report.
        channels: C.
        stride: Pixels per cell, of a frame of 128x128.
        parameters: Number of weights that are built.
    """

    name: str
    backbone: Dict[str, Any]
    load_from: Optional[str] = None
    feature_index: Any = None
    data_preprocessor: Dict[str, Any] = field(default_factory=dict)
    weights: Dict[str, str] = field(default_factory=dict)
    title: str = ''
    channels: int = 0
    stride: float = 0.0
    parameters: int = 0


def make_candidate(spec: BackboneSpec) -> Candidate:
    """Build a backbone, load its weights and try it on one frame.

    Args:
        spec: What is asked for.

    Returns:
        Candidate: Ready to be scored.

    Raises:
        BackboneError: The class isn't there or can't be built, the stage or
            map isn't there, or the weights can't be read or don't fit.
    """
    try:
        if 'type' in spec.arguments:
            candidate = _of_type(spec)
        else:
            candidate = _of_resnet_file(spec)
    except CheckpointError as error:
        raise spec.fail(str(error)) from error
    # Names without a scope are this project's, whatever ran before.
    with DefaultScope.overwrite_default_scope('hvc_mm'):
        network = _build(spec, candidate)
    if candidate.load_from is not None:
        _check_weights(spec, network, candidate.load_from)
    _probe(spec, network, candidate)
    files = [candidate.load_from, *weight_files(candidate.backbone)]
    candidate.weights = {
        path: sha256_of(path) for path in files if path and osp.isfile(path)
    }
    return candidate


def grid_of(candidate: Candidate, size: Tuple[int, int]) -> Tuple[int, int]:
    """Find the grid ``(h, w)`` that a backbone gives for a frame's size.

    Args:
        candidate: The backbone.
        size: ``(H, W)`` in pixels.

    Returns:
        Rows and columns.
    """
    with DefaultScope.overwrite_default_scope('hvc_mm'), torch.no_grad():
        network = MODELS.build(dict(candidate.backbone))
        network.eval()  # mmdet's returns nothing
        maps = network(torch.zeros(1, 3, *size))
    return tuple(unit_features(maps, candidate.feature_index).shape[-2:])


def _of_resnet_file(spec: BackboneSpec) -> Candidate:
    """The ResNet that a file of any known layout holds."""
    checkpoint = read_checkpoint(spec.weights)
    try:
        found = find_backbone(checkpoint, spec.layout)
    except CheckpointError as error:
        raise CheckpointError(f'{spec.weights}: {error}') from None
    depth, stages = guess_resnet(found.tensors)
    stage = _STAGE if spec.stage is None else spec.stage
    if not 1 <= stage <= stages:
        raise spec.fail(
            f'stage {stage} is not there: {spec.weights} holds a '
            f'ResNet-{depth} with stages 1 to {stages}'
        )
    backbone = dict(
        type='HVCResNet',
        depth=depth,
        strides=_STRIDES,
        out_indices=(stage - 1,),
        init_cfg=dict(
            type='hvc_mm.PretrainedBackbone',
            checkpoint=spec.weights,
            layout=spec.layout,
        ),
    )
    if found.layout == 'crw':
        backbone['padding_mode'] = 'reflect'
    backbone.update(spec.arguments)
    return Candidate(
        spec.name,
        backbone,
        feature_index=spec.map,
        data_preprocessor=dict(spec.data_preprocessor),
        title=f'ResNet-{depth}, layer{stage}',
    )


def _of_type(spec: BackboneSpec) -> Candidate:
    """A class of any registry."""
    backbone = dict(spec.arguments)
    title = str(backbone['type'])
    if spec.stage is not None:
        cls = _class_of(spec, backbone['type'])
        if 'out_indices' not in inspect.signature(cls).parameters:
            raise spec.fail(
                f'{title} has no out_indices to choose a stage by; expected '
                'map=INDEX or an argument of its own'
            )
        backbone['out_indices'] = (spec.stage - 1,)
        title += f', stage {spec.stage}'
    if spec.map is not None:
        title += f', map {spec.map}'
    if spec.weights is not None:
        read_checkpoint(spec.weights)  # says what is wrong with the file
    return Candidate(
        spec.name,
        backbone,
        load_from=spec.weights,
        feature_index=spec.map,
        data_preprocessor=dict(spec.data_preprocessor),
        title=title,
    )


def _class_of(spec: BackboneSpec, kind: str) -> type:
    try:
        with DefaultScope.overwrite_default_scope('hvc_mm'):
            cls = MODELS.get(kind)
    except Exception:  # mmengine raises RuntimeError, older ones KeyError
        cls = None
    if not inspect.isclass(cls):
        raise spec.fail(
            f'{kind} is in no registry: is its project installed, and its '
            'name right? Expected e.g. HVCResNet, TorchvisionBackbone, '
            'mmdet.ResNet'
        )
    return cls


def _build(spec: BackboneSpec, candidate: Candidate) -> nn.Module:
    kind = candidate.backbone['type']
    _class_of(spec, kind)
    try:
        network = MODELS.build(dict(candidate.backbone))
        if hasattr(network, 'init_weights'):
            network.init_weights()
    except Exception as error:  # whatever a foreign constructor raises
        stage = ''
        if spec.stage is not None:
            stage = f' (is there a stage {spec.stage}?)'
        raise spec.fail(
            f'{kind} cannot be built{stage}: {_said(error)}'
        ) from error
    network.eval()  # mmdet's returns nothing
    return network


def _check_weights(spec: BackboneSpec, network: nn.Module, path: str) -> None:
    """Make sure that the run will find all tensors of the backbone."""
    target = getattr(network, 'primary', network)
    try:
        match_backbone(read_checkpoint(path), target.state_dict())
    except CheckpointError as error:
        kind = type(network).__name__
        raise spec.fail(f'{path} for {kind}: {error}') from None


def _probe(
    spec: BackboneSpec, network: nn.Module, candidate: Candidate
) -> None:
    """Compute the features of one frame, as the model will do it."""
    try:
        with torch.no_grad():
            maps = network(torch.zeros(1, 3, _PROBE, _PROBE))
            features = unit_features(maps, candidate.feature_index)
    except ValueError as error:
        hint = str(error).replace('feature_index', 'map')
        raise spec.fail(hint) from error
    except Exception as error:  # whatever a foreign network raises
        raise spec.fail(
            f'fails on a frame of {_PROBE}x{_PROBE}: {_said(error)}'
        ) from error
    candidate.channels = features.shape[1]
    candidate.stride = _PROBE / features.shape[2]
    candidate.parameters = sum(p.numel() for p in network.parameters())


def _said(error: Exception) -> str:
    """An error's message; of an empty one (an assertion) its kind."""
    text = str(error).strip()
    return text or f'{type(error).__name__} without a message'
