import numpy as np
import pytest

from hvc_mm.engine.run_config import read_config
from hvc_mm.models.vos import LabelPropagator, MaskCodec
from hvc_mm.registry import MODELS, TRANSFORMS
from hvc_mm.utils.protocols import list_protocols, read_protocol


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
