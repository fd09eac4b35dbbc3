"""Weights: read safely, recognised, given to a backbone."""

import argparse
import collections
import importlib
import io
import os
import pathlib
import pickle
import sys
import warnings

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner.checkpoint import _load_checkpoint_to_model

from hvc_mm import checkpoint as module
from hvc_mm.checkpoint import (
    LAYOUTS,
    CheckpointError,
    adopt_backbone_weights,
    find_backbone,
    load_backbone,
    read_checkpoint,
    sha256_of,
)
from hvc_mm.models import HVCResNet, LabelPropagationVOS

# Today's zip format, and the one of files from before torch 1.6.
FORMATS = pytest.mark.parametrize('is_zip', [True, False])
R18 = dict(type='hvc_mm.HVCResNet', depth=18, out_indices=(2,))
NAMES = (
    'conv1.weight',
    'bn1.running_mean',
    'layer1.0.conv1.weight',
    'layer1.0.bn1.bias',
    'layer2.0.downsample.0.weight',
    'layer2.0.downsample.1.running_var',
)


class _Runs:
    """Unpickles by calling a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def _save(content, path, is_zip=True):
    torch.save(content, path, _use_new_zipfile_serialization=is_zip)
    return path


@FORMATS
def test_weights_and_known_metadata_are_read(tmp_path, is_zip):
    buffer = HistoryBuffer()
    buffer.update(1.5)
    weights = torch.nn.Linear(2, 2).state_dict()
    content = {
        'model': weights,
        'epoch': 7,
        'half': torch.nn.Parameter(torch.ones(2, dtype=torch.float16)),
        'args': argparse.Namespace(lr=0.1, device=torch.device('cpu')),
        'milestones': collections.Counter([8, 11, 11]),
        'message_hub': {'log_scalars': {'train/loss': buffer}},
    }
    path = _save(content, tmp_path / 'a.pth', is_zip)
    with warnings.catch_warnings():
        warnings.simplefilter('error')  # a user could do nothing about it
        read = read_checkpoint(path)
    assert read['epoch'] == 7
    assert torch.equal(read['model']['weight'], weights['weight'])
    assert read['half'].dtype == torch.float16


@FORMATS
@pytest.mark.parametrize(
    'extra, named',
    [
        (_Runs(os.mkdir, 'made'), 'mkdir'),
        (_Runs(eval, '1'), 'eval'),
        (_Runs(__import__, 'antigravity'), '__import__'),
        (pathlib.PurePosixPath('/a'), 'Path'),
    ],
)
def test_what_could_run_code_is_refused(
    tmp_path, monkeypatch, is_zip, extra, named
):
    monkeypatch.chdir(tmp_path)
    # Also next to metadata that is allowed.
    content = {'w': torch.ones(1), 'a': argparse.Namespace(a=1), 'x': extra}
    path = _save(content, tmp_path / 'a.pth', is_zip)
    with pytest.raises(CheckpointError, match='refused') as error:
        read_checkpoint(path)
    message = str(error.value)
    assert str(path) in message and named in message
    assert 'torch.save(model.state_dict()' in message
    assert sorted(p.name for p in tmp_path.iterdir()) == ['a.pth']


def _unpickle(content):
    return module._RestrictedPickle.load(io.BytesIO(content))


@pytest.mark.parametrize('protocol', [2, 4])
def test_restricted_unpickler(protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = collections.OrderedDict(a=[1, 2.5], b=(None, True), c=torch.half)
    assert _unpickle(pickle.dumps(content, protocol)) == content
    options = argparse.Namespace(lr=0.1)
    read = _unpickle(pickle.dumps([options, 3], protocol))
    assert read[1] == 3 and not hasattr(read[0], 'lr')
    inert = _Runs(getattr, collections.OrderedDict, 'fromkeys')
    assert not callable(_unpickle(pickle.dumps([inert], protocol))[0])
    for function, argument in ((os.mkdir, 'made'), (eval, '1')):
        hostile = pickle.dumps({'x': _Runs(function, argument)}, protocol)
        with pytest.raises(pickle.UnpicklingError, match=function.__name__):
            _unpickle(hostile)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    'owner, name',
    [(torch._utils, '_rebuild_tensor_v2'), (argparse, 'Namespace')],
)
@pytest.mark.parametrize(
    'state',
    [
        # Attributes as a dict, as slots, and a partial's whole state.
        b'}X\x06\x00\x00\x00hackedK\x01s',
        b'N}X\x06\x00\x00\x00hackedK\x01s\x86',
        b'(ctorch\ndevice\n)}}X\x06\x00\x00\x00hackedK\x01st',
    ],
)
def test_a_pickle_leaves_nothing_on_shared_objects(owner, name, state):
    # GLOBAL, some state, BUILD: sets attributes on what GLOBAL gave.
    wanted = b'\x80\x02c%b\n%b\n' % (owner.__name__.encode(), name.encode())
    try:
        _unpickle(wanted + state + b'b.')
    except (TypeError, AttributeError, pickle.UnpicklingError):
        pass
    assert not hasattr(getattr(owner, name), 'hacked')
    given = _unpickle(wanted + b'.')
    assert not hasattr(given, 'hacked')
    assert getattr(given, 'func', None) is not torch.device


@pytest.mark.skipif(
    not hasattr(torch.serialization, 'add_safe_globals'),
    reason='this torch has no allow-list',
)
def test_mmengine_reads_its_checkpoints_where_torch_is_strict(tmp_path):
    module.allow_checkpoint_classes()
    buffer = HistoryBuffer([1.0, 2.0], [1, 1])
    content = {'hub': {'loss': buffer, 'n': np.float64(3)}}
    path = _save(dict(content, a=argparse.Namespace()), tmp_path / 'a')
    loaded = torch.load(path, weights_only=True)
    assert loaded['hub']['loss'].mean() == 1.5
    path = _save({'x': pathlib.PurePosixPath('/a')}, tmp_path / 'b')
    with pytest.raises(Exception, match='PurePosixPath'):
        torch.load(path, weights_only=True)


@pytest.mark.parametrize(
    'content',
    [b'', b'<!DOCTYPE html><p>not found', b'PK\x03\x04 broken', True, False],
)
def test_damaged_files(tmp_path, content):
    path = tmp_path / 'page.pth'
    if isinstance(content, bool):
        _save({'w': torch.ones(5000)}, path, is_zip=content)
        content = path.read_bytes()[:-9000]
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="page.pth: can't be read"):
        read_checkpoint(path)


def test_no_file_or_not_a_dict(tmp_path):
    with pytest.raises(CheckpointError, match='no such file'):
        read_checkpoint(tmp_path / 'none.pth')
    path = _save(torch.ones(2), tmp_path / 'tensor.pth')
    with pytest.raises(CheckpointError, match='tensor.pth: holds a Tensor'):
        read_checkpoint(path)


def test_sha256(tmp_path):
    (tmp_path / 'abc').write_bytes(b'abc')
    assert sha256_of(tmp_path / 'abc') == (
        'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'
    )


def _named(prefix='', rename=lambda name: name, plus=0):
    return {
        prefix + rename(n): torch.ones(1) * i + plus
        for i, n in enumerate(NAMES)
    }


def _padded(name):
    return name.replace('conv1.weight', 'conv1.1.weight')


def _conv_module(name):
    for old, new in (
        ('conv1.', 'conv1.conv.'),
        ('bn1.', 'conv1.bn.'),
        ('downsample.0.', 'downsample.conv.'),
        ('downsample.1.', 'downsample.bn.'),
    ):
        name = name.replace(old, new)
    return name


FILES = {
    'hvc': {'model': _named('online_encoder.'), 'epoch': 1},
    'moco': {
        'state_dict': {
            **_named('module.encoder_q.'),
            **_named('module.encoder_k.', plus=10),
        },
        'arch': 'resnet50',
    },
    'simsiam': {'state_dict': _named('module.encoder.')},
    'pixpro': {'model': _named('module.encoder.')},
    'crw': {'model': _named('encoder.model.', _padded)},
    'vfs': {'state_dict': _named('backbone.', _conv_module)},
    'mm': {'state_dict': _named('backbone.'), 'meta': {}},
    'dino': {
        'student': _named('module.backbone.', plus=10),
        'teacher': _named('module.backbone.'),
    },
    'torchvision': {**_named(), 'fc.weight': torch.zeros(1)},
}


class _Few(torch.nn.Module):
    """A model whose backbone has the tensors of ``NAMES``."""

    def __init__(self):
        super().__init__()
        self.backbone = torch.nn.Module()
        for name in NAMES:
            at = self.backbone
            *parents, last = name.split('.')
            for parent in parents:
                if not hasattr(at, parent):
                    at.add_module(parent, torch.nn.Module())
                at = getattr(at, parent)
            at.register_buffer(last, torch.full((1,), -1.0))
        self._register_load_state_dict_pre_hook(
            adopt_backbone_weights, with_module=True
        )


@pytest.mark.parametrize('layout', LAYOUTS)
def test_all_doors_take_each_layout_alike(layout, tmp_path):
    content = FILES[layout]
    for asked in ('auto', layout):
        found = find_backbone(content, asked)
        assert found.layout == layout
        assert [found.tensors[n].item() for n in NAMES] == list(range(6))
    path = _save(content, tmp_path / 'a.pth')
    models = _Few(), _Few(), _Few()
    load_backbone(models[0].backbone, path)
    models[1].load_state_dict(read_checkpoint(path))
    # As mmengine's runner loads a checkpoint for a test.
    _load_checkpoint_to_model(models[2], content)
    for model in models:
        given = model.backbone.state_dict()
        assert [given[name].item() for name in NAMES] == list(range(6))


@pytest.mark.parametrize('layout', ['hvc', 'dino', 'torchvision'])
def test_released_plain_files(layout):
    found = find_backbone(_named(), layout)
    assert found.layout == layout and found.place == 'plain'
    assert set(found.tensors) == set(NAMES)


@pytest.mark.parametrize(
    'holder, prefix, layout, others',
    [
        ('model', 'online_encoder.', 'hvc', 'target_encoder.'),
        ('model', 'module.online_encoder.net.', 'hvc', 'target_encoder.'),
        ('state_dict', 'backbone.', 'mm', 'target.module.backbone.'),
        ('state_dict', 'detector.backbone.', 'mm', 'reid.backbone.'),
        ('state_dict', 'model.backbone.', 'mm', 'head.'),
    ],
)
def test_wrappers_and_targets(holder, prefix, layout, others):
    state = {**_named(others, plus=10), **_named(prefix)}
    state['steps'] = torch.zeros(1)
    found = find_backbone({holder: state})
    assert found.layout == layout
    assert found.tensors['layer1.0.conv1.weight'] == 2
    assert len(found.left_over) == len(NAMES) + 1


def test_what_is_not_there_is_named():
    with pytest.raises(CheckpointError) as error:
        find_backbone(FILES['simsiam'], 'crw')
    message = str(error.value)
    assert "encoder.model.layer1.0.conv1.1.weight under 'model'" in message
    assert "6 tensors under 'state_dict'" in message
    assert 'module.encoder.conv1.weight' in message
    for content in ({}, {'a': 1}, {'w': torch.ones(1)}):
        with pytest.raises(CheckpointError, match='any known layout'):
            find_backbone(content)
    with pytest.raises(CheckpointError, match="'byol' is not known"):
        find_backbone(_named(), 'byol')


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
    content = {f'backbone.{k}': v for k, v in source.items()}
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


@pytest.mark.parametrize(
    'prefix',
    ['', 'backbone.', 'module.encoder_q.', 'online_encoder.', 'some.net.'],
)
@pytest.mark.parametrize('how', ['torch', 'mmengine'])
def test_a_model_finds_its_backbone(prefix, how, monkeypatch):
    said = []

    def log(text, **_):
        said.append(text)

    monkeypatch.setattr(module, 'print_log', log)
    source = _resnet()
    checkpoint = {prefix + name: tensor for name, tensor in source.items()}
    checkpoint['fc.weight'] = torch.zeros(2, 2)
    model = LabelPropagationVOS(R18)
    if how == 'torch':
        model.load_state_dict(checkpoint)
    else:
        _load_checkpoint_to_model(model, {'state_dict': checkpoint})
    assert _equal(model.backbone.state_dict(), source)
    text = 'all 90 tensors' if prefix == 'backbone.' else '90 of 90 tensors'
    assert said[0].startswith(text)


def test_the_training_file_of_the_hvc_release():
    source = _resnet()
    model = LabelPropagationVOS(R18)
    content = {
        'model': {
            **{f'target_encoder.{k}': v * 0 for k, v in source.items()},
            **{f'online_encoder.{k}': v for k, v in source.items()},
        },
        'optimizer': {'state': {}, 'param_groups': [{'lr': 1e-3}]},
        'epoch': 19,
        'args': argparse.Namespace(lr=1e-3),
    }
    _load_checkpoint_to_model(model, content)
    assert _equal(model.backbone.state_dict(), source)


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


@pytest.mark.parametrize(
    'content, said',
    [
        ({'vit.pos': torch.zeros(1)}, 'none of the tensors.*1 tensors.*vit'),
        ({'conv1.weight': torch.zeros(128, 3, 7, 7)}, r'\(128, 3, 7, 7\)'),
        (
            {
                k: v
                for k, v in _resnet().items()
                if k != 'layer2.0.conv1.weight'
            },
            r'lacks 1 of the 90 .*layer2\.0\.conv1',
        ),
        (_resnet(50), r'lacks \d+ of the 90 .*layer'),
        (_resnet(18, stages=2), r'lacks \d+ of the 90 .*layer3'),
    ],
)
def test_nothing_is_left_at_random(content, said, tmp_path):
    model = LabelPropagationVOS(R18)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    path = _save(content, tmp_path / 'other.pth')
    with pytest.raises(CheckpointError, match=f'(?s){said}'):
        model.load_state_dict(content, strict=False)
    with pytest.raises(CheckpointError, match=f'(?s)other.pth.*{said}'):
        load_backbone(model.backbone, path)
    assert _equal(model.state_dict(), before)


def test_old_import_path():
    sys.modules.pop('hvc_mm.weights', None)
    with pytest.warns(DeprecationWarning, match='hvc_mm.checkpoint'):
        old = importlib.import_module('hvc_mm.weights')
    assert old.PretrainedBackbone is module.PretrainedBackbone
