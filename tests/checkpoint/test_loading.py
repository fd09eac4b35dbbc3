"""Weights reach a backbone alike by every door, whole or not at all."""

import argparse
import importlib
import sys

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import load_checkpoint

import hvc_mm.checkpoint
from hvc_mm.apis import init_model
from hvc_mm.checkpoint import (
    CheckpointError,
    load_backbone,
    require_weights,
)
from hvc_mm.models import HVCResNet, LabelPropagationVOS

R18 = dict(type='hvc_mm.HVCResNet', depth=18, out_indices=(2,))


def _save(content, path):
    torch.save(content, path)
    return str(path)


def _resnet(depth=18, stages=3):
    torch.manual_seed(3)
    source = HVCResNet(depth, out_indices=(stages - 1,))
    for parameter in source.parameters():
        torch.nn.init.normal_(parameter)
    return source.state_dict()


def _equal(state, source):
    return all(
        torch.equal(value, source[name]) for name, value in state.items()
    )


@pytest.mark.parametrize('scope', ['hvc_mm', 'mmengine', 'mmdet'])
def test_init_cfg(tmp_path, scope):
    if scope == 'mmdet':
        pytest.importorskip('mmdet')
    source = _resnet(stages=3)
    content = _under('backbone.', source)
    content['target.module.backbone.conv1.weight'] = torch.ones(1)
    path = _save({'state_dict': content, 'meta': {}}, tmp_path / 'a.pth')
    init_cfg = dict(type='hvc_mm.PretrainedBackbone', checkpoint=str(path))
    # Further stages of the file are left out.
    cfg = dict(R18, out_indices=(0, 1), init_cfg=init_cfg)
    with DefaultScope.overwrite_default_scope(scope):
        backbone = MODELS.build(cfg)
        assert not torch.equal(backbone.conv1.weight, source['conv1.weight'])
        backbone.init_weights()
    assert _equal(backbone.state_dict(), source)


def _under(prefix, state):
    return {prefix + name: tensor for name, tensor in state.items()}


def _by_mmengine(path):
    """As tools/test.py loads a checkpoint."""
    model = LabelPropagationVOS(R18)
    load_checkpoint(model, path, map_location='cpu')
    return model.backbone


def _by_init_model(path):
    cfg = dict(model=dict(type='LabelPropagationVOS', backbone=R18))
    return init_model(cfg, path, 'cpu').backbone


def _by_call(path):
    backbone = HVCResNet(18, out_indices=(2,))
    load_backbone(backbone, path)
    return backbone


DOORS = pytest.mark.parametrize(
    'door', [_by_mmengine, _by_init_model, _by_call]
)


@DOORS
@pytest.mark.parametrize('holder', ['', 'state_dict', 'model', 'net'])
@pytest.mark.parametrize(
    'prefix', ['', 'backbone.', 'module.encoder_q.', 'module.some.net.']
)
def test_every_door_takes_every_place(holder, prefix, door, tmp_path):
    source = _resnet()
    state = {**_under(prefix, source), 'fc.weight': torch.zeros(2, 2)}
    content = {holder: state, 'epoch': 3} if holder else state
    path = _save(content, tmp_path / 'a.pth')
    assert _equal(door(path).state_dict(), source)


@DOORS
def test_of_two_networks_every_door_takes_the_same(door, tmp_path):
    source = _resnet()
    zeros = {name: tensor * 0 for name, tensor in source.items()}
    # What the training script of the HVC release writes.
    release = {
        'model': {
            **_under('target_encoder.', zeros),
            **_under('online_encoder.', source),
        },
        'optimizer': {'state': {}, 'param_groups': [{'lr': 1e-3}]},
        'epoch': 19,
        'args': argparse.Namespace(lr=1e-3),
    }
    path = _save(release, tmp_path / 'release.pth')
    assert _equal(door(path).state_dict(), source)
    # mmengine looks under 'state_dict' alone.
    pair = {'state_dict': zeros, 'state_dict_ema': source}
    path = _save(pair, tmp_path / 'pair.pth')
    with pytest.raises(CheckpointError) as error:
        door(path)
    assert str(error.value) == (
        f'{path}: has 2 networks that fit, and nothing known tells which one '
        'is meant: choose by --prefix (prefix= in Python) '
        "'state_dict' or 'state_dict_ema'"
    )


def test_a_prefix_chooses(tmp_path):
    source = _resnet()
    zeros = {name: tensor * 0 for name, tensor in source.items()}
    pair = {'state_dict': zeros, 'state_dict_ema': source}
    path = _save(pair, tmp_path / 'pair.pth')
    cfg = dict(model=dict(type='LabelPropagationVOS', backbone=R18))
    model = init_model(cfg, path, 'cpu', prefix='state_dict_ema')
    assert _equal(model.backbone.state_dict(), source)
    model = LabelPropagationVOS(R18, weights_prefix='state_dict_ema')
    load_checkpoint(model, path)
    assert _equal(model.backbone.state_dict(), source)
    init_cfg = dict(
        type='hvc_mm.PretrainedBackbone', checkpoint=path, prefix='state_dict'
    )
    model = LabelPropagationVOS(dict(R18, init_cfg=init_cfg))
    assert _equal(model.backbone.state_dict(), zeros)


def test_a_state_dict_without_a_file():
    source = _resnet()
    for content in (source, {'model': source, 'epoch': 3}):
        model = LabelPropagationVOS(R18)
        model.load_state_dict(content)
        assert _equal(model.backbone.state_dict(), source)


def test_changed_tensors_are_what_is_loaded(tmp_path):
    source = _resnet()
    path = _save({'state_dict': _under('backbone.', source)}, tmp_path / 'a')
    content = load_checkpoint(LabelPropagationVOS(R18), path)
    for tensor in content['state_dict']:
        content['state_dict'][tensor] = content['state_dict'][tensor] * 2
    model = LabelPropagationVOS(R18)
    model.load_state_dict(content['state_dict'])
    doubled = {name: tensor * 2 for name, tensor in source.items()}
    assert _equal(model.backbone.state_dict(), doubled)


def test_names_that_mmengine_revises_are_what_is_loaded(tmp_path):
    source = _resnet()
    zeros = {name: tensor * 0 for name, tensor in source.items()}
    pair = {**_under('encoder_q.', zeros), **_under('encoder_k.', source)}
    path = _save({'state_dict': pair}, tmp_path / 'a.pth')
    model = LabelPropagationVOS(R18)
    revised = [('^encoder_q', 'other'), ('^encoder_k', 'backbone')]
    load_checkpoint(model, path, revise_keys=revised)
    assert _equal(model.backbone.state_dict(), source)


def test_what_was_loaded_is_logged(tmp_path, logged):
    path = _save({'model': _resnet()}, tmp_path / 'a.pth')
    load_checkpoint(LabelPropagationVOS(R18), path)
    assert any(
        f'HVCResNet: 90 of 90 tensors found in {path} (sha256 ' in line
        and line.endswith(") under 'model'")
        for line in logged
    )


def test_own_checkpoint_and_first_member_of_an_ensemble():
    source = _resnet()
    r50 = dict(type='hvc_mm.HVCResNet', depth=50, out_indices=(2,))
    ensemble = dict(type='hvc_mm.FeatureEnsemble', members=[R18, r50])
    model = LabelPropagationVOS(ensemble)
    second = model.backbone.members[1].state_dict()
    second = {name: tensor.clone() for name, tensor in second.items()}
    # Strict: what isn't meant for it isn't missed.
    model.load_state_dict(source)
    assert _equal(model.backbone.members[0].state_dict(), source)
    assert _equal(model.backbone.members[1].state_dict(), second)
    other = LabelPropagationVOS(ensemble)
    other.load_state_dict(model.state_dict())
    assert _equal(other.backbone.members[1].state_dict(), second)


def _but(**changed):
    state = _resnet()
    for name, value in changed.items():
        name = name.replace('__', '.')
        state[name] = value(state[name])
    return state


@DOORS
@pytest.mark.parametrize(
    'content, said',
    [
        ({'vit.pos': torch.zeros(1)}, 'none of the tensors.*1 tensors.*vit'),
        ({'conv1.weight': torch.zeros(128, 3, 7, 7)}, r'\(128, 3, 7, 7\)'),
        (
            {k: v for k, v in _resnet().items() if 'running' not in k},
            r'lacks 30 of the 90 .*bn1\.running_mean',
        ),
        (_resnet(50), r'lacks \d+ of the 90 .*layer'),
        (_resnet(18, stages=2), r'lacks \d+ of the 90 .*layer3'),
        (
            {'state_dict': {k: v.numpy() for k, v in _resnet().items()}},
            'numpy arrays.*conv1.weight',
        ),
        (_but(layer1__0__conv1__weight=lambda t: t * np.nan), 'NaN.*conv1'),
        (
            _but(bn1__bias=lambda t: t / 0),
            'NaN or infinity in 1 of its tensors: bn1.bias',
        ),
    ],
)
def test_nothing_is_left_at_random(content, said, door, tmp_path):
    path = _save(content, tmp_path / 'other.pth')
    with pytest.raises(CheckpointError, match=f'^{path}: .*{said}'):
        door(path)


def test_a_refused_state_dict_changes_nothing():
    model = LabelPropagationVOS(R18)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    state = {k: v + 1 for k, v in _resnet().items()}
    del state['layer3.0.conv1.weight']
    with pytest.raises(CheckpointError, match='lacks 1 of the 90'):
        model.load_state_dict(state, strict=False)
    assert _equal(model.state_dict(), before)


@pytest.mark.parametrize(
    'change, said',
    [
        (lambda state: state.pop('1.bias'), 'lacks 1 of the 7 .*: 1.bias'),
        (
            lambda state: state.update({'0.weight': torch.ones(2, 2)}),
            r'lacks 1 of .*0\.weight is \(2, 2\), expected \(3, 2\)',
        ),
        (
            lambda state: state.update({'0.bias': np.ones(3, 'float32')}),
            'numpy arrays in the place of 1 tensors .*: 0.bias',
        ),
        (lambda state: state['0.bias'].fill_(np.nan), 'NaN .*: 0.bias'),
        (lambda state: state.pop('1.num_batches_tracked'), None),
        (lambda state: state.update(other=torch.ones(1)), None),
    ],
)
def test_a_whole_model_of_another_project(change, said, tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    state = {k: v + 1 for k, v in model.state_dict().items()}
    change(state)
    path = _save({'state_dict': state}, tmp_path / 'a.pth')
    require_weights(model)
    if said is None:
        load_checkpoint(model, path)
        assert torch.equal(model[0].weight, state['0.weight'])
        return
    with pytest.raises(CheckpointError, match=f'^{path}: .*{said}'):
        load_checkpoint(model, path)


def test_old_import_path():
    sys.modules.pop('hvc_mm.weights', None)
    with pytest.warns(DeprecationWarning, match='hvc_mm.checkpoint'):
        old = importlib.import_module('hvc_mm.weights')
    assert old.PretrainedBackbone is hvc_mm.checkpoint.PretrainedBackbone
