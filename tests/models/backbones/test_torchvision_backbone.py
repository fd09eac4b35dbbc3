import copy

import pytest
import torch
from torchvision.models import resnet18

from hvc_mm import bridges
from hvc_mm.checkpoint import PretrainedBackbone
from hvc_mm.models.backbones import HVCResNet, TorchvisionBackbone
from hvc_mm.registry import MODELS

IMAGES = torch.linspace(-1, 1, 2 * 3 * 64 * 64).view(2, 3, 64, 64)


def _build(**kwargs):
    torch.manual_seed(0)
    return TorchvisionBackbone('resnet18', **kwargs)


def test_maps_are_those_of_the_network():
    backbone = _build(nodes=['layer1', 'layer2.0.conv1']).eval()
    torch.manual_seed(0)
    network = resnet18().eval()
    with torch.no_grad():
        first, second = backbone(IMAGES)
        stem = network.maxpool(
            network.relu(network.bn1(network.conv1(IMAGES)))
        )
        wanted = network.layer1(stem)
        assert torch.equal(first, wanted)
        assert torch.equal(second, network.layer2[0].conv1(wanted))


def test_what_comes_after_is_not_built():
    names = _build(nodes='layer2').state_dict()
    assert 'body.layer2.1.conv2.weight' in names
    assert not any('layer3' in name or 'fc' in name for name in names)


def test_is_registered_and_takes_options_of_the_network():
    cfg = dict(
        type='TorchvisionBackbone',
        model='resnet50',
        nodes='layer3',
        replace_stride_with_dilation=[False, True, False],
    )
    backbone = MODELS.build(dict(cfg, _scope_='hvc_mm')).eval()
    with torch.no_grad():
        assert backbone(IMAGES[:1])[0].shape == (1, 1024, 8, 8)


def test_copy_keeps_both_modes():
    backbone = _build(nodes='layer1')
    backbone(IMAGES)
    backbone.body.conv1.weight.requires_grad = False
    clone = copy.deepcopy(backbone)
    assert all(
        torch.equal(a, b)
        for a, b in zip(
            clone.state_dict().values(), backbone.state_dict().values()
        )
    )
    assert not clone.body.conv1.weight.requires_grad
    assert clone.training
    clone.eval()
    mean = clone.body.bn1.running_mean.clone()
    clone(IMAGES)
    assert torch.equal(clone.body.bn1.running_mean, mean)
    clone.train()
    clone(IMAGES)
    assert not torch.equal(clone.body.bn1.running_mean, mean)
    # They share nothing.
    assert torch.equal(backbone.body.bn1.running_mean, mean)


def test_takes_plain_weights(tmp_path):
    source = HVCResNet(18, out_indices=(1,)).state_dict()
    torch.save(source, tmp_path / 'plain.pth')
    backbone = _build(nodes='layer2')
    PretrainedBackbone(str(tmp_path / 'plain.pth'))(backbone)
    for name, tensor in backbone.primary.state_dict().items():
        assert torch.equal(tensor, source[name])


def test_unknown_names_and_nodes_without_a_map():
    with pytest.raises(ValueError, match="no model 'resnet19'"):
        TorchvisionBackbone('resnet19', nodes='layer1')
    with pytest.raises(ValueError, match=r"nodes \['layer5'\].*layer4.1"):
        _build(nodes='layer5')
    with pytest.raises(ValueError, match=r"'flatten' gives \(2, 512\)"):
        _build(nodes='flatten')(IMAGES)


# At 480x854 the second stage's (107, 192) is nearly proportional.
@pytest.mark.parametrize(
    'size, stage', [((480, 854), 3), ((240, 432), 1), ((64, 64), 5)]
)
def test_maps_with_channels_last_are_refused(size, stage):
    backbone = TorchvisionBackbone('swin_t', nodes=f'features.{stage}').eval()
    with torch.no_grad(), pytest.raises(
        ValueError, match=r'map of shape \(1, .*is it \(N, h, w, C\)'
    ):
        backbone(torch.zeros(1, 3, *size))


def test_networks_without_padding_lose_a_few_cells():
    cfg = dict(model='inception_v3', init_weights=False, aux_logits=False)
    backbone = TorchvisionBackbone(**cfg, nodes='Mixed_5d').eval()
    with torch.no_grad():
        (features,) = backbone(torch.zeros(1, 3, 150, 267))
    assert features.shape == (1, 288, 16, 31)


def test_is_found_where_it_was_before_with_a_warning():
    with pytest.warns(DeprecationWarning, match='hvc_mm.models.backbones'):
        moved = bridges.TorchvisionBackbone
    assert moved is TorchvisionBackbone
    with pytest.raises(AttributeError, match='no_such_name'):
        _ = bridges.no_such_name
