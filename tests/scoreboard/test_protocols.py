"""Which protocols a benchmark takes, at which size, and all their numbers."""

import pytest

from hvc_mm.engine.run_config import read_config
from hvc_mm.scoreboard import BENCHMARKS, check_protocols, why_unfit
from hvc_mm.scoreboard.protocols import describe_protocol, resize_frames
from hvc_mm.utils.protocols import list_protocols


def test_every_protocol_fits_the_benchmarks_of_its_annotations():
    fitting = {
        name: {p for p in list_protocols() if not why_unfit(p, benchmark)}
        for name, benchmark in BENCHMARKS.items()
    }
    assert fitting['vip'] == {'crw_vip', 'cropmae_vip'}
    assert fitting['jhmdb'] == {'crw_jhmdb', 'crw_jhmdb12'}
    masks = {'hvc', 'crw', 'vfs', 'dino', 'dinov3', 'cropmae', 'smtc8'}
    assert fitting['davis'] == fitting['davis16'] >= masks
    assert not set.intersection(*fitting.values())
    for name, benchmark in BENCHMARKS.items():
        assert why_unfit(None, benchmark) is None
        for protocol in fitting[name]:  # and the config takes them
            read_config(benchmark.config, protocol=protocol)
    assert why_unfit('dino', BENCHMARKS['jhmdb']) == (
        'protocol dino propagates masks, JHMDB split 1 annotates joints'
    )


def test_an_unknown_protocol_is_refused_with_the_nearest():
    check_protocols(['own', 'dino', 'crw_vip'])
    with pytest.raises(
        ValueError, match="'dinov2'; did you mean dinov3, dino"
    ):
        check_protocols(['own', 'dinov2'])


@pytest.mark.parametrize(
    'protocol, expected',
    [
        (None, (250, 430)),
        ('hvc', (250, 430)),
        ('vfs', (250, 430)),
        # The short side is kept, the long one cut to a multiple of 64.
        ('dino', (250, 384)),
        # Rounded up to 256, and 430 * 256 / 250 up to 448.
        ('dinov3', (256, 448)),
        # Both are cut to a multiple of 16.
        ('smtc16', (240, 416)),
        ('cropmae', (250, 430)),
    ],
)
def test_another_size_is_rounded_as_the_protocol_does(protocol, expected):
    cfg = read_config('hvc_davis', protocol=protocol)
    assert resize_frames(cfg, None, protocol) is None
    assert resize_frames(cfg, (250, 430), protocol) == expected
    (step,) = [
        step
        for step in cfg.test_dataloader.dataset.pipeline
        if step.type == 'ResizeFrame'
    ]
    size = step.pop('size')
    assert tuple(size) == expected
    assert step == dict(type='ResizeFrame', interpolation='area')
    # CropMAE's codec works at the input's size.
    assert cfg.model.codec.get('size') is None


def test_sizes_of_a_config_stay_but_for_a_named_protocol():
    cfg = read_config('hvc_vip')
    assert resize_frames(cfg, (96, 160), None) is None
    assert tuple(cfg.model.codec['size']) == (560, 560)
    cfg = read_config('hvc_vip', protocol='crw_vip')
    assert resize_frames(cfg, (96, 160), 'crw_vip') == (96, 160)
    assert cfg.model.codec['size'] is None


def test_a_description_has_every_number():
    cfg = read_config('hvc_davis', protocol='dino')
    found = describe_protocol(cfg, 'dino', None)
    assert found['name'] == 'dino' and found['input_size'] is None
    model = found['model']
    assert model['propagator'] == dict(
        type='LabelPropagator',
        radius=12,
        topk=5,
        temperature=0.1,
        context=7,
        compute_dtype=None,
        repeat_reference=False,
        reference_in_window=True,
        window='square',
        with_edge=True,
    )
    assert model['codec']['decide_at_input'] is True
    assert model['codec']['with_confidence'] is False
    assert model['data_preprocessor']['std'] == [58.14, 57.12, 57.375]
    assert model['warmup_zero_image'] is model['feature_stride'] is None
    assert found['frames']['short_side'] == 480
    assert found['frames']['interpolation'] == 'bilinear'
    assert 'topk=5' in found['text'] and 'short_side=480' in found['text']
    cfg = read_config('hvc_davis', protocol='smtc8')
    found = describe_protocol(cfg, 'smtc8', None)
    assert found['model']['feature_stride'] == 8
    assert found['text'].endswith('feature_stride=8')
