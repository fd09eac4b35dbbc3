import pytest
import torch
import torchvision
from torch import nn
from torchvision.models.feature_extraction import create_feature_extractor

from hvc_mm.models.backbones import HVCResNet
from hvc_mm.models.backbones.hvc_resnet import guess_resnet, resnet_shapes
from hvc_mm.registry import MODELS


@pytest.mark.parametrize('depth', [18, 34, 50])
def test_equals_torchvision_with_its_weights(depth):
    torch.manual_seed(0)
    reference = torchvision.models.get_model(f'resnet{depth}').eval()
    stages = [f'layer{i}' for i in range(1, 5)]
    theirs = create_feature_extractor(reference, stages)
    ours = HVCResNet(depth, strides=(1, 2, 2, 2), out_indices=(0, 1, 2, 3))
    left = ours.load_state_dict(reference.state_dict(), strict=False)
    assert left.missing_keys == []
    assert left.unexpected_keys == ['fc.weight', 'fc.bias']
    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        for mine, other in zip(ours.eval()(x), theirs(x).values()):
            assert torch.equal(mine, other)


def test_default_strides_give_stride_8_and_build_no_more_than_needed():
    backbone = HVCResNet(18, out_indices=(2,))
    assert not hasattr(backbone, 'layer4')
    (features,) = backbone(torch.zeros(1, 3, 480, 854))
    assert features.shape == (1, 256, 60, 107)
    (features,) = HVCResNet(18)(torch.zeros(1, 3, 256, 256))
    assert features.shape == (1, 512, 32, 32)
    assert HVCResNet(50, out_indices=(1, 3)).out_channels == (512, 2048)


def test_starts_with_zero_residuals_and_he_normal_convolutions():
    torch.manual_seed(0)
    backbone = HVCResNet(50, out_indices=(1,))
    assert all(not b.bn3.weight.any() for b in backbone.layer2)
    assert all(b.bn2.weight.eq(1).all() for b in backbone.layer2)
    weight = backbone.layer2[0].conv2.weight
    expected = (2 / (weight.shape[0] * 9)) ** 0.5
    assert weight.std().item() == pytest.approx(expected, rel=0.02)
    basic = HVCResNet(18, out_indices=(0,))
    assert all(not b.bn2.weight.any() for b in basic.layer1)


def test_caffe_style_moves_the_stride_into_the_first_convolution():
    pytorch = HVCResNet(50, strides=(1, 2, 2, 2), out_indices=(1,))
    caffe = HVCResNet(
        50, strides=(1, 2, 2, 2), out_indices=(1,), style='caffe'
    )
    assert pytorch.layer2[0].conv1.stride == (1, 1)
    assert pytorch.layer2[0].conv2.stride == (2, 2)
    assert caffe.layer2[0].conv1.stride == (2, 2)
    assert caffe.layer2[0].conv2.stride == (1, 1)
    x = torch.zeros(1, 3, 64, 64)
    assert caffe(x)[0].shape == pytorch(x)[0].shape


@pytest.mark.mmdet
def test_caffe_style_equals_mmdets():
    from mmdet.models.backbones import ResNet

    torch.manual_seed(0)
    theirs = ResNet(50, style='caffe', out_indices=(2,))
    theirs.eval()  # returns nothing in mmdet
    ours = HVCResNet(
        50, strides=(1, 2, 2, 2), out_indices=(2,), style='caffe'
    ).eval()
    assert not ours.load_state_dict(
        theirs.state_dict(), strict=False
    ).missing_keys
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(x)[0], theirs(x)[0])


def test_reflect_padding_reaches_every_padded_convolution():
    backbone = HVCResNet(18, out_indices=(1,), padding_mode='reflect')
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d):
            padded = max(module.padding) > 0
            assert module.padding_mode == ('reflect' if padded else 'zeros')
    # A constant image has constant features: no border is felt.
    (features,) = backbone.eval()(torch.ones(1, 3, 64, 64))
    inner = features[..., 3:4, 3:4].expand_as(features)
    torch.testing.assert_close(features, inner, rtol=1e-4, atol=1e-5)


def test_frozen_stages_and_norm_eval():
    backbone = HVCResNet(18, frozen_stages=2, out_indices=(2,)).train()
    assert not any(p.requires_grad for p in backbone.layer2.parameters())
    assert all(p.requires_grad for p in backbone.layer3.parameters())
    assert not backbone.bn1.training and not backbone.layer2[0].bn1.training
    assert backbone.layer3[0].bn1.training
    backbone = HVCResNet(18, norm_eval=True, out_indices=(0,)).train()
    assert not backbone.layer1[0].bn1.training
    assert backbone.layer1.training


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(depth=20), 'depth 20'),
        (dict(out_indices=(4,)), 'out_indices'),
        (dict(strides=(1, 2), out_indices=(2,)), '2 strides'),
        (dict(frozen_stages=4, out_indices=(2,)), 'frozen_stages 4'),
        (dict(style='tf'), "style 'tf'"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        MODELS.build(dict(type='hvc_mm.HVCResNet', **options))


@pytest.mark.parametrize('depth', [18, 34, 50, 101])
def test_depth_and_stages_show_in_names_and_shapes(depth):
    for stages in (3, 4):
        state = dict(resnet_shapes(depth, stages), fc=torch.ones(1))
        for name in list(state):
            if name.endswith('num_batches_tracked'):
                del state[name]
        assert guess_resnet(state) == (depth, stages)
        del state['layer1.1.conv2.weight']
        assert guess_resnet(state) == (depth, stages)
