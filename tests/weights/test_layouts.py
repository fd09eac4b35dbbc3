import pytest
import torch

from hvc_mm.weights import LAYOUTS, CheckpointError
from hvc_mm.weights.layouts import HoldsNoBackboneError, find_backbone

NAMES = (
    'conv1.weight',
    'bn1.running_mean',
    'layer1.0.conv1.weight',
    'layer1.0.bn1.bias',
    'layer2.0.downsample.0.weight',
    'layer2.0.downsample.1.running_var',
)


def _named(prefix='', rename=lambda name: name, **others):
    tensors = {
        prefix + rename(n): torch.ones(1) * i for i, n in enumerate(NAMES)
    }
    return {**tensors, **{k: torch.zeros(1) for k in others}}


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
    'moco': {'state_dict': _named('module.encoder_q.'), 'arch': 'resnet50'},
    'simsiam': {'state_dict': _named('module.encoder.')},
    'pixpro': {'model': _named('module.encoder.')},
    'crw': {'model': _named('encoder.model.', _padded)},
    'vfs': {'state_dict': _named('backbone.', _conv_module)},
    'mm': {'state_dict': _named('backbone.'), 'meta': {}},
    'dino': {'teacher': _named('module.backbone.')},
    'torchvision': _named(**{'fc.weight': 0}),
}


@pytest.mark.parametrize('layout', FILES)
@pytest.mark.parametrize('asked', ['auto', 'by name'])
def test_each_layout_is_recognised_and_renamed(layout, asked):
    wanted = 'auto' if asked == 'auto' else layout
    found = find_backbone(FILES[layout], wanted)
    assert found.layout == layout
    for index, name in enumerate(NAMES):
        assert found.tensors[name] == index


def test_all_layouts_are_covered():
    assert set(FILES) == set(LAYOUTS)


@pytest.mark.parametrize('layout', ['hvc', 'dino', 'torchvision'])
def test_released_plain_files(layout):
    found = find_backbone(_named(), layout)
    assert found.layout == layout and found.place == 'plain'
    assert set(found.tensors) == set(NAMES)


@pytest.mark.parametrize(
    'prefix', ['online_encoder.', 'module.online_encoder.net.']
)
def test_wrappers_around_the_online_encoder(prefix):
    state = {
        **_named(prefix),
        **_named('target_encoder.'),
        f'{prefix.split("net.")[0]}projector.conv1.weight': torch.zeros(1),
    }
    found = find_backbone({'model': state})
    assert found.layout == 'hvc'
    assert set(NAMES) <= set(found.tensors)
    left = [n for n in found.left_over if n.startswith('target_encoder.')]
    assert len(left) == len(NAMES)


def test_target_of_pretraining_is_not_taken_for_the_backbone():
    state = {
        **{k: v + 10 for k, v in _named('target.module.backbone.').items()},
        **_named('backbone.'),
        'steps': torch.zeros(1),
    }
    found = find_backbone({'state_dict': state})
    assert found.layout == 'mm'
    assert found.tensors['layer1.0.conv1.weight'] == 2
    assert len(found.left_over) == len(NAMES) + 1


@pytest.mark.parametrize('prefix', ['detector.backbone.', 'model.backbone.'])
def test_backbone_inside_a_tracker_or_wrapper(prefix):
    found = find_backbone({'state_dict': _named(prefix)})
    assert found.layout == 'mm' and set(NAMES) <= set(found.tensors)


def test_batch_norm_after_a_plain_convolution_keeps_its_name():
    # downsample.1 is a batch norm, no padded convolution.
    found = find_backbone(FILES['crw'])
    assert 'layer2.0.downsample.1.running_var' in found.tensors


def test_the_wrong_layout_is_named():
    with pytest.raises(HoldsNoBackboneError) as error:
        find_backbone(FILES['moco'], 'crw')
    message = str(error.value)
    assert "encoder.model.layer1.0.conv1.1.weight under 'model'" in message
    assert "6 tensors under 'state_dict'" in message
    assert 'module.encoder_q.conv1.weight' in message


@pytest.mark.parametrize('content', [{}, {'a': 1}, {'w': torch.ones(1)}])
def test_no_resnet_at_all(content):
    with pytest.raises(HoldsNoBackboneError, match='any known layout'):
        find_backbone(content)


def test_unknown_layout():
    with pytest.raises(CheckpointError, match="'byol' is not known"):
        find_backbone(_named(), 'byol')
