"""Published protocols against what their projects' own functions gave."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from hvc_mm.engine.run_config import read_config
from hvc_mm.models.vos import LabelPropagator, MaskCodec
from hvc_mm.registry import MODELS, TRANSFORMS
from hvc_mm.structures import VOSDataSample
from hvc_mm.utils.protocols import list_protocols, read_protocol

GOLDEN = ['dino', 'dinov3', 'vfs', 'vfs_free_first']


@pytest.mark.parametrize('name', GOLDEN)
def test_gives_what_the_projects_own_functions_gave(golden_dir, name):
    golden = np.load(golden_dir / f'protocol_{name}.npz')
    protocol = name.replace('_free_first', '')
    radius = 'neighborhood' if name == 'dino' else 'radius'
    propagator = LabelPropagator.from_protocol(
        protocol,
        radius=int(golden[radius]),
        context=int(golden['context']),
        topk=int(golden['topk']),
        reference_in_window='free' not in name,
    )
    assert propagator.temperature == float(golden['temperature'])
    features = F.normalize(torch.from_numpy(golden['features']), dim=1)
    codec = MaskCodec.from_protocol(protocol)
    ids = torch.from_numpy(golden['first_ids'])
    sample = VOSDataSample(
        metainfo=dict(
            img_shape=ids.shape,
            ori_shape=golden['pred_ids'].shape[1:],
            video='a',
            frame_name='0',
        )
    )
    sample.prompt_ids = ids
    labels = codec.encode(sample, features.shape[-2:])
    np.testing.assert_array_equal(labels, golden['first_labels'])
    propagator.step(features[:1], labels)
    for time, (soft, expected) in enumerate(
        zip(golden['soft_labels'], golden['pred_ids']), start=1
    ):
        found = propagator.step(features[time : time + 1])
        np.testing.assert_allclose(found[0], soft, atol=1e-5)
        codec.decode(found, sample)
        np.testing.assert_array_equal(sample.pred_ids, expected)


def _sizes(frames, original):
    resize = TRANSFORMS.build(dict(frames, type='hvc_mm.ResizeFrame'))
    return [resize.target_size(*map(int, size)) for size in original]


def test_frames_get_the_sizes_of_the_projects_own_readers(golden_dir):
    golden = np.load(golden_dir / 'protocol_sizes.npz')
    sizes = _sizes(read_protocol('dino').frames, golden['original'])
    np.testing.assert_array_equal(sizes, golden['dino'])
    frames = read_protocol('dinov3').frames
    for column, (side, multiple) in enumerate(golden['dinov3_settings']):
        frames.update(short_side=int(side), multiple=int(multiple))
        sizes = _sizes(frames, golden['original'])
        np.testing.assert_array_equal(sizes, golden['dinov3'][:, column])


TABLE = {  # topk, context, radius, shape, with_edge, temperature, reference
    'hvc': (15, 50, 12, 'disc', False, 0.1, False, True),
    'crw': (10, 20, 12, 'disc', False, 0.05, False, True),
    'vfs': (10, 20, 12, 'disc', False, 0.07, True, 'latest'),
    'dino': (5, 7, 12, 'square', True, 0.1, True, False),
    'dinov3': (5, 7, 12, 'disc', True, 0.2, True, False),
    'cropmae': (7, 20, 20, 'disc', False, 0.7, False, True),
    'smtc16': (7, 20, 7, 'disc', False, 0.2, False, True),
    'smtc8': (28, 20, 35, 'disc', False, 0.2, False, True),
    'cropmae_vip': (10, 20, 20, 'disc', False, 0.7, False, True),
    'crw_vip': (10, 4, 12, 'disc', False, 0.05, False, True),
    'crw_jhmdb': (10, 7, 5, 'disc', False, 0.05, False, True),
    'crw_jhmdb12': (10, 7, 12, 'disc', False, 0.05, False, True),
}
SIZES = {  # of frames of 480x854 and 720x1280
    'hvc': [(480, 854), (720, 1280)],
    'crw': [(480, 854), (720, 1280)],
    'vfs': [(480, 854), (480, 853)],
    'dino': [(480, 832), (480, 832)],
    'dinov3': [(960, 1712), (960, 1712)],
    'cropmae': [(480, 880), (480, 880)],
    'smtc16': [(480, 848), (720, 1280)],
    'smtc8': [(480, 848), (720, 1280)],
    'cropmae_vip': [(448, 880), (448, 880)],
    'crw_vip': [(560, 560), (560, 560)],
    'crw_jhmdb': [(320, 320), (320, 320)],
    'crw_jhmdb12': [(320, 320), (320, 320)],
}
# What the configs without a protocol have.
OWN = {'hvc': 'hvc_davis', 'crw_vip': 'hvc_vip', 'crw_jhmdb': 'hvc_jhmdb'}


@pytest.mark.parametrize('name', TABLE)
def test_numbers_and_frame_sizes(name):
    found = LabelPropagator.from_protocol(name)
    assert TABLE[name] == (
        found.topk,
        found.context,
        *found.window,
        found.temperature,
        found.reference_in_window,
        found.repeat_reference,
    )
    frames = read_protocol(name).frames
    assert _sizes(frames, [(480, 854), (720, 1280)]) == SIZES[name]


def test_there_are_no_others():
    assert list_protocols() == sorted(TABLE)


@pytest.mark.parametrize('name', TABLE)
def test_a_config_takes_a_protocol(name):
    config = 'hvc_jhmdb' if 'jhmdb' in name else 'hvc_davis'
    options = {'model.propagator.topk': 3}
    cfg = read_config(config, options, protocol=name)
    model = MODELS.build(cfg.model)
    assert model.propagator.topk == 3
    assert model.propagator.window == TABLE[name][2:5]
    assert model.warmup_zero_image == ((256, 256) if name == 'hvc' else None)
    std = 0.228 if name == 'dino' else 0.229
    red = model.data_preprocessor.std.flatten()[0] / 255
    assert red.item() == pytest.approx(std)
    frames = cfg.test_dataloader.dataset.pipeline[-2]
    assert frames == read_protocol(name).frames
    assert cfg.protocol == name


@pytest.mark.parametrize('name', OWN)
def test_configs_are_their_protocols(name):
    own, named = read_config(OWN[name]), read_config(OWN[name], {}, name)
    assert named.model.pop('feature_stride') is None
    assert own.model == named.model
    (one,), (other,) = (
        _sizes(cfg.test_dataloader.dataset.pipeline[-2], [(300, 400)])
        for cfg in (own, named)
    )
    assert one == other


def test_square_frames_and_long_sides():
    frames = dict(type='ResizeFrame', long_side=880, multiple=64)
    floor = dict(frames, round='floor')
    assert _sizes(floor, [(500, 500), (640, 360)]) == [(880, 832), (880, 448)]
    assert _sizes(frames, [(360, 640)]) == [(512, 896)]


def test_protocols_that_are_refused():
    with pytest.raises(ValueError, match="no protocol 'dinno'.*dino"):
        LabelPropagator.from_protocol('dinno')
    with pytest.raises(ValueError, match='did you mean.*cropmae.*vfs'):
        MaskCodec.from_protocol('zzz')
    with pytest.raises(ValueError, match='dino has a MaskCodec.*JointCodec'):
        read_config('hvc_jhmdb', {}, 'dino')
    with pytest.raises(ValueError, match='model is a HVC'):
        read_config('hvc_voc', {}, 'dino')


def test_a_window_wider_than_the_grid_is_told():
    features = F.normalize(torch.rand(1, 4, 5, 6), dim=1)
    labels = torch.rand(1, 2, 5, 6)
    propagator = LabelPropagator.from_protocol('smtc8')
    with pytest.warns(UserWarning, match='35 cells exceeds .* 5x6 cells'):
        propagator.step(features, labels)
