import copy
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import EMAHook
from mmengine.model import BaseModule
from mmengine.runner import get_priority
from torch import nn

from hvc_mm.engine.hooks.fuse_conv_bn_hook import FuseConvBNHook, fused_copy
from hvc_mm.models import LabelPropagationVOS
from hvc_mm.models.backbones import unit_features
from hvc_mm.registry import HOOKS, MODELS

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
    """Batch norms used in another order than they are registered."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.one = nn.BatchNorm2d(4)
        self.other = nn.Conv2d(3, 4, 1)
        self.two = nn.BatchNorm2d(4)

    def forward(self, x):
        return self.two(self.conv(x)) + self.one(self.other(x))


def _used(backbone):
    """As after training: statistics and scales are no longer 0 and 1."""
    generator = torch.Generator().manual_seed(0)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.weight.data, module.running_var):
                values.uniform_(0.5, 1.5, generator=generator)
            for values in (module.bias.data, module.running_mean):
                values.normal_(0, 0.3, generator=generator)
    return backbone.eval()


def _batch_norms(network):
    return sum(isinstance(m, nn.BatchNorm2d) for m in network.modules())


@pytest.mark.parametrize(
    'config',
    [HVC_R18, REFLECT, TORCHVISION, ENSEMBLE],
    ids=['hvc', 'reflect', 'torchvision', 'ensemble'],
)
def test_features_are_the_same(config):
    torch.manual_seed(0)
    backbone = _used(MODELS.build(config))
    fused = fused_copy(backbone)
    assert _batch_norms(backbone) > 0 and _batch_norms(fused) == 0
    image = torch.randn(2, 3, 72, 88)
    with torch.no_grad():
        found = unit_features(fused(image))
        expected = unit_features(backbone(image))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_networks_that_cannot_be_fused_are_refused():
    torch.manual_seed(0)
    with pytest.raises(ValueError, match='Forked.*maps differ'):
        fused_copy(_used(Forked()))
    plain = nn.Conv2d(3, 4, 1)
    assert fused_copy(plain) is plain


def test_a_test_runs_on_a_copy_of_the_backbone_as_it_is_then():
    model = LabelPropagationVOS(backbone=dict(HVC_R18, out_indices=(0,)))
    _used(model)
    backbone, before = model.backbone, copy.deepcopy(model.state_dict())
    frames = [torch.randn(3, 48, 64)]
    runner, hook = SimpleNamespace(model=model), FuseConvBNHook()
    with torch.no_grad():
        for factor in (1.0, 1.5):
            backbone.bn1.running_mean.mul_(factor)
            (expected,) = model.extract_feat(frames)
            hook.before_test_epoch(runner)
            assert _batch_norms(model) == 0
            (found,) = model.extract_feat(frames)
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
            hook.after_test_epoch(runner)
    assert model.backbone is backbone
    before['backbone.bn1.running_mean'].mul_(1.5)
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_the_zero_image_is_seen_before_fusing():
    model = LabelPropagationVOS(
        backbone=dict(HVC_R18, out_indices=(0,)), warmup_zero_image=(32, 32)
    )
    _used(model)
    plain = copy.deepcopy(model)
    FuseConvBNHook().before_test_epoch(SimpleNamespace(model=model))
    frames = [torch.randn(3, 48, 64)]
    with torch.no_grad():
        (expected,), (found,) = (
            m.extract_feat(frames) for m in (plain, model)
        )
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
        plain.train().eval().warmup_zero_image = None
        (without,) = plain.extract_feat(frames)
    assert (found - without).abs().max() > 1e-3


def test_it_comes_after_hooks_that_change_weights_before_a_test():
    hook = HOOKS.build(dict(type='FuseConvBNHook'))
    assert get_priority(hook.priority) > get_priority(EMAHook.priority)


def test_the_option_of_0_1_names_the_flag():
    with pytest.raises(ValueError, match='test.py --fuse-conv-bn'):
        LabelPropagationVOS(backbone=HVC_R18, fold_batch_norm=True)
