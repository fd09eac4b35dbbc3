"""Networks in files of many projects: found, told apart, refused by name."""

import numpy as np
import pytest
import torch

from hvc_mm.checkpoint import LAYOUTS, CheckpointError, find_network

NAMES = (
    'conv1.weight',
    'bn1.running_mean',
    'layer1.0.conv1.weight',
    'layer1.0.bn1.bias',
    'layer2.0.downsample.0.weight',
    'layer2.0.downsample.1.running_var',
)
WANTED = {name: torch.zeros(1) for name in NAMES}


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


def _pair(one, other):
    """Two networks; the first one is meant."""
    return {**_named(other, plus=10), **_named(one)}


# By layout; of two networks one is right, and the other comes first.
FILES = {
    'hvc': {'model': _pair('online_encoder.', 'a_target_encoder.')},
    'moco': {'state_dict': _pair('module.encoder_q.', 'module.encoder_k.')},
    'byol': {'state_dict': _pair('online_network.0.', 'a_target_network.0.')},
    'simsiam': {'state_dict': _named('module.encoder.')},
    'pixpro': {'model': _named('module.encoder.')},
    'crw': {'model': _named('encoder.model.', _padded)},
    'vfs': {'state_dict': _named('backbone.', _conv_module)},
    'mm': {
        'ema_state_dict': _named('module.backbone.', plus=10),
        'state_dict': _pair('backbone.', 'a_target.module.backbone.'),
        'meta': {},
    },
    'dino': {
        'student': _named('module.backbone.', plus=10),
        'teacher': _named('backbone.'),
    },
    'torchvision': {**_named(), 'fc.weight': torch.zeros(1)},
}


def _values(network):
    return [network.tensors[name].item() for name in NAMES]


@pytest.mark.parametrize('wanted', [WANTED, None])
@pytest.mark.parametrize(
    'layout', [n for n, k in LAYOUTS.items() if 'vit' not in k.styles[0]]
)
def test_a_known_layout_tells_which_network_is_meant(layout, wanted):
    for asked in ('auto', layout):
        found = find_network(FILES[layout], wanted, asked)
        assert found.layout == layout
        assert _values(found) == list(range(6))


@pytest.mark.parametrize('layout', ['hvc', 'dino', 'torchvision'])
def test_released_plain_files(layout):
    found = find_network(_named(), None, layout)
    assert found.layout == layout and found.place == 'plain'
    assert set(found.tensors) == set(NAMES)


@pytest.mark.parametrize(
    'content',
    [
        {'model': _pair('module.online_encoder.net.', 'target_encoder.')},
        {'state_dict': _pair('detector.backbone.', 'reid.backbone.')},
        {'state_dict': _pair('model.backbone.', 'head.')},
        {'state_dict': _pair('module.base_encoder.', 'momentum_encoder.')},
        {'state_dict': _pair('backbone.', 'encoder_k.0.')},
        {'teacher': _named(), 'student': _named(plus=10)},
        # Other keys and prefixes, where there is one network.
        {'model_state_dict': _named(), 'epoch': 3, 'loss': torch.tensor(1.0)},
        {'net': _named('_orig_mod.')},
        {'state_dict_ema': _named('module._orig_mod.')},
        {'state_dict': _named('model.'), 'hyper_parameters': {}},
        _named('module.module.'),
        _named('some.net.'),
        # One network under two names.
        {'model': _named(), 'ema': _named()},
    ],
)
def test_wrappers_and_other_keys(content):
    for wanted in (WANTED, None):
        assert _values(find_network(content, wanted)) == list(range(6))


@pytest.mark.parametrize(
    'content, places',
    [
        (
            {'model': _named(), 'model_ema': _named(plus=10)},
            ['model', 'model_ema'],
        ),
        (
            {'state_dict': _pair('f_q.', 'f_k.')},
            ['state_dict.f_q', 'state_dict.f_k'],
        ),
        (_pair('module.query_encoder.', 'module.key_encoder.'), None),
        (_pair('', 'ema.'), ['plain', 'ema']),
        # Which of MoCo's networks is known, but not of which file's key.
        (
            {
                'model': _named('encoder_q.'),
                'ema': _named('encoder_q.', plus=10),
            },
            ['model.encoder_q', 'ema.encoder_q'],
        ),
    ],
)
def test_of_an_unknown_pair_the_user_chooses(content, places):
    places = places or ['module.query_encoder', 'module.key_encoder']
    for wanted in (WANTED, None):
        with pytest.raises(CheckpointError, match='2 networks') as error:
            find_network(content, wanted)
        assert all(repr(place) in str(error.value) for place in places)
        assert '--prefix' in str(error.value)
        for place, plus in zip(places, (0, 10)):
            found = find_network(content, wanted, prefix=place)
            assert _values(found) == [i + plus for i in range(6)]
        with pytest.raises(CheckpointError, match="prefix 'odd'; found '"):
            find_network(content, wanted, prefix='odd')


def test_a_prefix_overrules_a_layout():
    content = FILES['moco']
    for prefix in (
        'encoder_k',
        'encoder_k.',
        'module.encoder_k.',
        'state_dict.module.encoder_k',
    ):
        found = find_network(content, WANTED, prefix=prefix)
        assert _values(found) == list(range(10, 16))


def test_numpy_arrays_and_odd_values_are_named(logged):
    name = 'layer1.0.bn1.bias'
    for content in (
        {'state_dict': {k: v.numpy() for k, v in _named().items()}},
        {**_named(), name: np.zeros(1)},
    ):
        with pytest.raises(CheckpointError, match=f'numpy arrays.*{name}'):
            find_network(content, WANTED)
    for value in (float('nan'), float('inf'), -float('inf')):
        content = {**_named(), name: torch.tensor([value]).half()}
        with pytest.raises(CheckpointError, match=f'in 1 of .*{name}'):
            find_network(content, WANTED)
    # Float16 can't hold a large variance; its channel is well defined.
    content = {**_named(), NAMES[5]: torch.tensor([float('inf')])}
    assert find_network(content, WANTED).tensors[NAMES[5]].isinf()
    assert any(NAMES[5] in line for line in logged)
    # What the backbone doesn't have is not looked at.
    content = {**_named(), 'fc.weight': torch.tensor([float('nan')])}
    assert 'fc.weight' not in find_network(content, WANTED).tensors


def test_what_is_not_there_is_named():
    with pytest.raises(CheckpointError) as error:
        find_network(FILES['simsiam'], None, 'crw')
    message = str(error.value)
    assert 'CRW: encoder.model.layer1.0.conv1.1.weight. Found' in message
    assert "6 tensors under 'state_dict'" in message
    assert 'module.encoder.conv1.weight' in message
    for content in ({}, {'a': 1}, {'w': torch.ones(1)}):
        with pytest.raises(CheckpointError, match='any known layout'):
            find_network(content)
        with pytest.raises(CheckpointError, match='none of the tensors'):
            find_network(content, WANTED)
    with pytest.raises(CheckpointError, match="'odd' is not known"):
        find_network(_named(), None, 'odd')
    # The count of batches is the only tensor that may be missing.
    wanted = {**WANTED, 'bn1.num_batches_tracked': torch.tensor(0)}
    assert len(find_network(_named(), wanted).tensors) == 6
    wanted = {**WANTED, 'bn1.running_var': torch.zeros(1)}
    with pytest.raises(CheckpointError, match='lacks 1 of the 7.*running_var'):
        find_network(_named('net.'), wanted)
