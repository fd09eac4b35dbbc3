import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import nn

from hvc_mm.models.vos import LabelPropagationVOS
from hvc_mm.registry import MODELS
from hvc_mm.structures import VOSDataSample


@MODELS.register_module()
class PooledChannels(BaseModule):
    """A 4x4 average pool of some channels, in place of a network."""

    def __init__(self, first, last):
        super().__init__()
        self.slice = slice(first, last)
        self.unused = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x):
        return (F.avg_pool2d(x[:, self.slice], 4),)


def _model(backbone, **propagator):
    return LabelPropagationVOS(
        backbone=backbone,
        propagator=propagator,
        codec=dict(with_confidence=True),
        data_preprocessor=dict(type='mmengine.BaseDataPreprocessor'),
    ).eval()


def _samples(count, size, prompts):
    """Samples of one video; `prompts` are id masks by index."""
    samples = []
    for index in range(count):
        sample = VOSDataSample(
            metainfo=dict(starts_video=index == 0, ori_shape=tuple(size))
        )
        if index in prompts:
            sample.prompt_ids = prompts[index]
        samples.append(sample)
    return samples


def _stream(length, size=(16, 24)):
    """A video of noise; an object appears in the second frame."""
    generator = torch.Generator().manual_seed(length)
    frames = torch.rand(length, 6, *size, generator=generator)
    ids = torch.zeros(size, dtype=torch.uint8)
    ids[:8, :12] = 3
    return list(frames), _samples(length, size, {1: ids})


def _pool(first, last):
    return dict(type='hvc_mm.PooledChannels', first=first, last=last)


@pytest.mark.parametrize('name', ['single', 'late_object', 'ensemble'])
def test_reproduces_the_reference_sequences(golden_dir, name):
    golden = np.load(golden_dir / f'sequence_{name}.npz')
    backbone = _pool(0, 6)
    if golden['ensemble']:
        backbone = dict(
            type='FeatureEnsemble',
            members=[_pool(0, 6), _pool(6, 10)],
            weights=[float(golden['ensemble_weight']), 1.0],
        )
    model = _model(
        backbone,
        radius=int(golden['radius']),
        topk=int(golden['topk']),
        temperature=float(golden['temperature']),
        context=int(golden['context']),
    )
    frames = torch.from_numpy(golden['frames'])
    prompts = {0: torch.from_numpy(golden['first_frame_ids'])}
    if golden['late_frame']:
        # The file also shows the known object; data sets drop it.
        known = np.isin(golden['late_frame_ids'], golden['first_frame_ids'])
        new = np.where(known, 0, golden['late_frame_ids']).astype(np.uint8)
        prompts[int(golden['late_frame'])] = torch.from_numpy(new)
    samples = _samples(len(frames), frames.shape[-2:], prompts)
    # Batches that do not divide the video: the stream must not notice.
    for start in range(0, len(frames), 4):
        model.predict(
            list(frames[start : start + 4]), samples[start : start + 4]
        )
    ids = np.stack([s.pred_ids.numpy() for s in samples])
    confidence = np.stack([s.pred_confidence.numpy() for s in samples])
    np.testing.assert_array_equal(ids, golden['pred_ids'])
    np.testing.assert_allclose(confidence, golden['pred_conf'], atol=1e-4)


def test_videos_in_one_batch_do_not_mix_and_early_frames_are_empty():
    model = _model(_pool(0, 6), radius=4, topk=3, context=2)
    frames, together = map(sum, zip(_stream(4), _stream(3)), ([], []))
    model.predict(frames, together)
    frames, alone = _stream(3)
    model.predict(frames, alone)
    for a, b in zip(together[4:], alone):
        assert torch.equal(a.pred_ids, b.pred_ids)
    assert not together[0].pred_ids.any()
    assert not together[4].pred_ids.any()
    assert together[1].pred_ids.unique().tolist() == [0, 3]


def test_frames_of_differing_size_are_an_error_within_a_video():
    model = _model(_pool(0, 6), radius=4, topk=3, context=2)
    frames, samples = _stream(3)
    frames[2] = torch.rand(6, 16, 32)
    with pytest.raises(ValueError, match=r'\(1, 6, 4, 8\)'):
        model.predict(frames, samples)


def test_maps_with_channels_last_are_refused():
    model = _model(_pool(0, 6))
    model.backbone.forward = lambda x: x.movedim(1, 3)
    with pytest.raises(ValueError, match=r'\(1, 16, 24, 6\)'):
        model.extract_feat([torch.rand(6, 16, 24)])


def test_features_at_another_stride():
    """Resized before they are normalised, to whole cells of the frame."""
    frame = torch.rand(6, 18, 24)
    model = _model(_pool(0, 6))
    model.feature_stride = 8
    (features,) = model.extract_feat([frame])
    expected = F.interpolate(
        F.avg_pool2d(frame[None], 4), (2, 3), mode='bilinear'
    )
    torch.testing.assert_close(features, F.normalize(expected, dim=1))
    with pytest.raises(ValueError, match='feature_stride is 0; expected'):
        LabelPropagationVOS(backbone=_pool(0, 6), feature_stride=0)


def test_a_frame_at_a_time_is_a_batch():
    """As trackers drive it: features and a sample, whenever they want."""
    frames, samples = _stream(5)
    _, expected = _stream(5)
    settings = dict(radius=4, topk=3, context=2)
    _model(_pool(0, 6), **settings).predict(frames, expected)
    model = _model(_pool(0, 6), **settings)
    for frame, sample, other in zip(frames, samples, expected):
        (features,) = model.extract_feat([frame])
        assert model.propagate(features, sample) is sample
        assert torch.equal(sample.pred_ids, other.pred_ids)
    model.reset()
    model.propagate(features, sample)
    assert not sample.pred_ids.any()


def test_modes():
    model = _model(_pool(0, 6))
    (features,) = model([torch.rand(6, 16, 24)])
    assert features.shape == (1, 6, 4, 6)
    with pytest.raises(ValueError, match='not trained'):
        model([torch.rand(6, 16, 24)], mode='loss')
    with pytest.raises(TypeError, match="no arguments .'codecs'"):
        LabelPropagationVOS(backbone=_pool(0, 6), codecs=dict())


@pytest.mark.parametrize('channels_last', [True, False])
def test_the_backbone_gets_the_preprocessors_memory_format(channels_last):
    model = LabelPropagationVOS(
        backbone=dict(type='hvc_mm.HVCResNet', depth=18, out_indices=(0,)),
        data_preprocessor=dict(channels_last=channels_last),
    ).eval()
    seen = []
    model.backbone.register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0])
    )
    frames = torch.randint(0, 256, (2, 3, 16, 24), dtype=torch.uint8)
    data = model.data_preprocessor(dict(inputs=list(frames)))
    with torch.no_grad():
        model.extract_feat(data['inputs'])
    (batch,) = seen
    assert torch.equal(batch, torch.stack(data['inputs']))
    last = batch.is_contiguous(memory_format=torch.channels_last)
    assert last is channels_last
    assert batch.is_contiguous() is not channels_last


def test_the_batch_changes_no_mask():
    """Frames by one or by four, a batch of two videos among them."""
    torch.manual_seed(0)
    model = LabelPropagationVOS(
        backbone=dict(type='hvc_mm.HVCResNet', depth=18, out_indices=(2,)),
        data_preprocessor=dict(channels_last=True),
        propagator=dict(context=3),
    ).eval()
    picture = torch.randint(0, 256, (3, 96, 144), dtype=torch.uint8)

    def masks(batch_size):
        ids = torch.zeros(96, 144, dtype=torch.uint8)
        ids[20:60, 30:90], ids[50:80, 100:130] = 1, 2
        samples = [
            sample
            for length in (6, 4)
            for sample in _samples(length, ids.shape, {0: ids})
        ]
        frames = [picture.roll(4 * index, -1) for index in range(10)]
        found = []
        for start in range(0, len(frames), batch_size):
            part = slice(start, start + batch_size)
            data = dict(inputs=frames[part], data_samples=samples[part])
            found += model.test_step(data)
        return torch.stack([sample.pred_ids for sample in found])

    one = masks(1)
    assert torch.equal(one, masks(4))
    assert not torch.equal(one[0], one[5])


# The all-zero image before the first frame.


@MODELS.register_module()
class TwoNorms(BaseModule):
    """Two convolutions with batch norms, and a dropout."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 4, 3, 1, 1), nn.Conv2d(4, 4, 3, 2, 1)
        self.norm_one, self.norm_two = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        self.drop = nn.Dropout()
        self.seen = 0

    def forward(self, x):
        self.seen += 1
        x = self.drop(self.norm_one(self.one(x)).relu())
        return (self.norm_two(self.two(x)),)


def _two_norms(**kwargs):
    torch.manual_seed(0)
    kwargs.setdefault('backbone', dict(type='hvc_mm.TwoNorms'))
    kwargs.setdefault('warmup_zero_image', (6, 8))
    model = LabelPropagationVOS(**kwargs).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.weight, module.bias, module.running_mean):
                nn.init.normal_(values)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model


def _moved(network, height=6, width=8):
    """The statistics that the zero image leaves, by hand."""
    first, second = network.norm_one, network.norm_two
    # All pixels are the convolution's bias: its mean, without variance.
    expected = [
        0.9 * first.running_mean + 0.1 * network.one.bias,
        0.9 * first.running_var,
    ]
    # In train mode the batch norm then gives its own bias everywhere.
    image = first.bias.relu().view(1, 4, 1, 1).expand(1, 4, height, width)
    image = network.two(image).transpose(0, 1).flatten(1)
    expected += [
        0.9 * second.running_mean + 0.1 * image.mean(1),
        0.9 * second.running_var + 0.1 * image.var(1, unbiased=True),
    ]
    return [values.detach().clone() for values in expected]


def _statistics(network):
    norms = network.norm_one, network.norm_two
    return [v for n in norms for v in (n.running_mean, n.running_var)]


def test_the_zero_image_moves_statistics_as_by_hand_once():
    model = _two_norms()
    network, expected = model.backbone, _moved(model.backbone)
    frame = torch.rand(3, 8, 8)
    (features,) = model.extract_feat([frame])
    torch.testing.assert_close(_statistics(network), expected)
    assert not any(module.training for module in network.modules())
    (again,) = model.extract_feat([frame])
    assert torch.equal(again, features) and network.seen == 3
    for norm, mean in zip((network.norm_one, network.norm_two), expected[::2]):
        torch.testing.assert_close(norm.running_mean, mean)


def test_every_member_of_an_ensemble_sees_the_zero_image():
    member = dict(type='hvc_mm.TwoNorms')
    model = _two_norms(
        backbone=dict(type='FeatureEnsemble', members=[member, member])
    )
    expected = [_moved(member) for member in model.backbone.members]
    with torch.no_grad():
        model.extract_feat([torch.rand(3, 8, 8)])
    found = [_statistics(member) for member in model.backbone.members]
    torch.testing.assert_close(found, expected)


def test_what_is_saved_and_trained_is_what_was_loaded():
    model, other = _two_norms(), _two_norms()
    loaded = copy.deepcopy(model.state_dict())
    model.warm_up()
    moved = copy.deepcopy(_statistics(model.backbone))
    saved = model.state_dict()
    torch.testing.assert_close(saved, loaded, rtol=0, atol=0)
    # As a part of another model, as the tracker has it.
    nested = nn.ModuleDict({'carrier': model}).state_dict(prefix='x.')
    for name, value in loaded.items():
        assert torch.equal(nested[f'x.carrier.{name}'], value)
    # Loaded again, into itself or another: warmed up from there, once.
    for each in (model, other):
        each.load_state_dict(saved)
        torch.testing.assert_close(each.state_dict(), loaded)
        each.extract_feat([torch.rand(3, 8, 8)])
        torch.testing.assert_close(_statistics(each.backbone), moved)
    # Training, and the test after it, begin with the loaded statistics.
    model.train()
    torch.testing.assert_close(model.state_dict(), loaded, rtol=0, atol=0)
    model.extract_feat([torch.zeros(3, 8, 8)] * 2)
    trained = model.state_dict()
    assert trained['backbone.norm_one.num_batches_tracked'] == 1
    model.eval().warm_up()
    assert model.backbone.norm_one.num_batches_tracked == 2
    model.train()
    torch.testing.assert_close(model.state_dict(), trained, rtol=0, atol=0)


@pytest.mark.parametrize('size', [None, (6, 8)])
def test_without_an_image_or_a_batch_norm_nothing_is_moved(size):
    model = _two_norms(warmup_zero_image=size)
    if size:
        model.backbone.norm_one = model.backbone.norm_two = nn.Identity()
    before = copy.deepcopy(model.state_dict())
    model.extract_feat([torch.rand(3, 8, 8)])
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    assert model.backbone.seen == 1


@pytest.mark.parametrize('size', [(256,), (0, 256)])
def test_a_zero_image_without_a_size_is_refused(size):
    with pytest.raises(ValueError, match='expected height and width'):
        _two_norms(warmup_zero_image=size)


@pytest.mark.parametrize('index', [-1, [0, -2]])
def test_maps_are_counted_from_0(index):
    backbone = dict(type='HVCResNet', depth=18, out_indices=(0,))
    with pytest.raises(ValueError, match='feature_index is .*from 0'):
        LabelPropagationVOS(backbone, feature_index=index)
