"""Folded batch norms: the same features, the same state dict."""

import copy

import pytest
import torch
from mmengine.model import BaseModule
from torch import nn

from hvc_mm.models.backbones import unit_features
from hvc_mm.models.vos import LabelPropagationVOS
from hvc_mm.models.vos.batch_norm_folding import (
    FoldedCopy,
    fold_batch_norm,
)
from hvc_mm.registry import MODELS

HVC_R18 = dict(type='HVCResNet', depth=18, out_indices=(2,))
REFLECT = dict(HVC_R18, padding_mode='reflect')
R50 = dict(type='HVCResNet', depth=50, out_indices=(1,), style='caffe')
TORCHVISION = dict(
    type='TorchvisionBackbone', model='resnet18', nodes='layer2'
)
ENSEMBLE = dict(
    type='FeatureEnsemble', members=[TORCHVISION, R50], weights=[1.05, 1.0]
)


class Forked(BaseModule):
    """One convolution before two batch norms: folding can't be right."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.one = nn.BatchNorm2d(4)
        self.other = nn.Conv2d(3, 4, 1)
        self.two = nn.BatchNorm2d(4)

    def forward(self, x):
        return self.two(self.conv(x)) + self.one(self.other(x))


def used(backbone):
    """As after training: statistics and scales are no longer 0 and 1."""
    generator = torch.Generator().manual_seed(0)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.weight.data, module.running_var):
                values.uniform_(0.5, 1.5, generator=generator)
            for values in (module.bias.data, module.running_mean):
                values.normal_(0, 0.3, generator=generator)
    return backbone.eval()


def batch_norms(network):
    return sum(isinstance(m, nn.BatchNorm2d) for m in network.modules())


@pytest.mark.parametrize(
    'config',
    [HVC_R18, REFLECT, TORCHVISION, ENSEMBLE],
    ids=['hvc', 'reflect', 'torchvision', 'ensemble'],
)
def test_features_are_the_same(config):
    torch.manual_seed(0)
    backbone = used(MODELS.build(config))
    folded = fold_batch_norm(backbone)
    assert batch_norms(backbone) > 0 and batch_norms(folded) == 0
    image = torch.randn(2, 3, 72, 88)
    with torch.no_grad():
        found = unit_features(folded(image))
        expected = unit_features(backbone(image))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_networks_that_cannot_be_folded_are_refused():
    torch.manual_seed(0)
    with pytest.raises(ValueError, match='Forked.*maps differ'):
        fold_batch_norm(used(Forked()))
    plain = nn.Conv2d(3, 4, 1)
    assert fold_batch_norm(plain) is plain


def test_the_copy_follows_the_weights():
    backbone = used(MODELS.build(dict(HVC_R18, out_indices=(0,))))
    copies = FoldedCopy()
    first = copies.of(backbone)
    assert copies.of(backbone) is first
    weights = {n: t + 0.1 for n, t in backbone.state_dict().items()}
    backbone.load_state_dict(weights)
    second = copies.of(backbone)
    assert second is not first
    assert not torch.equal(first.conv1.weight, second.conv1.weight)
    backbone.double()
    assert copies.of(backbone).conv1.weight.dtype == torch.float64


def test_a_model_folds_at_test_time_alone(monkeypatch):
    torch.manual_seed(0)
    model = LabelPropagationVOS(
        backbone=dict(HVC_R18, out_indices=(1,)), fold_batch_norm=True
    )
    used(model)
    before = {n: t.clone() for n, t in model.state_dict().items()}
    frames = [torch.randn(3, 48, 64) for _ in range(2)]
    ran = []
    forward = nn.BatchNorm2d.forward
    with torch.no_grad():
        folded = model.extract_feat(frames)
        monkeypatch.setattr(
            nn.BatchNorm2d,
            'forward',
            lambda self, x: ran.append(self) or forward(self, x),
        )
        model.extract_feat(frames)
        assert not ran
        model.fold_batch_norm = False
        plain = model.extract_feat(frames)
        model.fold_batch_norm = True
        model.train().extract_feat(frames)
        assert len(ran) == 2 * batch_norms(model)
        model.eval()
    for one, other in zip(folded, plain):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0)
    after = model.state_dict()
    assert list(after) == list(before)
    statistics = ('running_mean', 'running_var', 'num_batches_tracked')
    for name, tensor in before.items():
        if not name.endswith(statistics):  # train() above moved those
            assert torch.equal(after[name], tensor)


def test_a_copied_model_folds_its_own_backbone():
    model = LabelPropagationVOS(
        backbone=dict(TORCHVISION, nodes='layer1'), fold_batch_norm=True
    )
    used(model)
    frames = [torch.randn(3, 48, 64)]
    with torch.no_grad():
        (first,) = model.extract_feat(frames)
        copied = copy.deepcopy(model)
        for weight in copied.backbone.parameters():
            weight.mul_(1.5)
        (second,) = copied.extract_feat(frames)
        assert not torch.allclose(first, second)
        copied.fold_batch_norm = False
        (plain,) = copied.extract_feat(frames)
    torch.testing.assert_close(second, plain, atol=1e-5, rtol=0)


def test_it_is_off_by_default():
    model = LabelPropagationVOS(backbone=HVC_R18)
    assert model.fold_batch_norm is False
