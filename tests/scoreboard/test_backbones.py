"""Backbones are named, built, loaded and tried before anything is scored."""

import json

import pytest
import torch

from hvc_mm.checkpoint import sha256_of
from hvc_mm.models import HVCResNet
from hvc_mm.scoreboard import (
    BackboneError,
    make_backbone,
    parse_backbones,
    try_frame_sizes,
)


def parse(text):
    ((name, entry),) = parse_backbones([text]).items()
    return name, entry


def make(text):
    return make_backbone(*parse(text))


def test_layer3_of_a_file_is_the_default(pretrained):
    backbone = make(f'hvc={pretrained}')
    assert backbone.name == 'hvc'
    assert backbone.config['depth'] == 18
    assert backbone.config['out_indices'] == (2,)
    # The config itself says where the weights are.
    assert backbone.overrides['load_from'] is None
    assert backbone.weights == {pretrained: sha256_of(pretrained)}
    built = HVCResNet(18, out_indices=(2,))
    count = sum(p.numel() for p in built.parameters())
    assert (backbone.parameters, backbone.channels) == (count, 256)


@pytest.mark.parametrize(
    'stage, channels, stride', [(1, 64, 4), (2, 128, 8), (4, 512, 8)]
)
def test_any_stage_of_a_file(pretrained, stage, channels, stride):
    backbone = make(f'{pretrained}:stage={stage}')
    assert (backbone.channels, backbone.stride) == (channels, stride)
    assert backbone.title == f'ResNet-18, layer{stage}'


def test_a_class_at_random_and_with_weights(pretrained):
    random = make('HVCResNet:depth=18,stage=2')
    assert random.weights == {}
    assert random.title == 'HVCResNet, stage 2'
    loaded = make(f'HVCResNet:depth=18,stage=2,weights={pretrained}')
    assert loaded.overrides['load_from'] == pretrained
    assert list(loaded.weights) == [pretrained]


@pytest.fixture
def of_timm():
    return pytest.importorskip('timm')


def test_a_model_of_timm_with_weights(of_timm, tmp_path):
    path = tmp_path / 'vit.pth'
    network = of_timm.create_model('vit_tiny_patch16_224', depth=2)
    torch.save(network.state_dict(), path)
    backbone = make(f'timm:vit_tiny_patch16_224,depth=1,weights={path}')
    assert backbone.overrides['load_from'] == str(path)
    assert backbone.weights == {str(path): sha256_of(path)}
    assert backbone.title == 'timm:vit_tiny_patch16_224'
    assert (backbone.channels, backbone.stride) == (192, 16)
    refused(
        f'v=timm:vit_small_patch16_224,depth=1,weights={path}',
        f'backbone v: {path}: ',
        'width 192',
        'expected width 384',
    )


def test_the_frames_that_a_backbone_is_tried_on(of_timm):
    # 128x192 is no multiple of 14; what a run has to be is its own business.
    backbone = make('v=timm:vit_small_patch14_dinov2,depth=1')
    assert backbone.stride == 14
    try_frame_sizes(backbone, [(238, 434)])
    with pytest.raises(BackboneError, match=r'v: .* 240x432 .*multiple=14'):
        try_frame_sizes(backbone, [(238, 434), (240, 432)])
    backbone = make('timm:beit_base_patch16_224,depth=1')
    assert backbone.stride == 16
    with pytest.raises(BackboneError, match='takes 224x224 alone'):
        try_frame_sizes(backbone, [(224, 240)])
    # A run's sizes tell nothing new of the backbone.
    assert backbone.stride == 16


def test_a_name_that_timm_does_not_know(of_timm):
    refused('v=timm:vit_smal_patch16_224', 'did you mean vit_small_patch16')
    refused('v=timm:resnet18,facet=key', 'timm:resnet18 cannot be built')


@pytest.mark.parametrize('suffix', ['.yaml', '.py'])
def test_classes_of_modules_that_a_file_imports(tmp_path, monkeypatch, suffix):
    name = f'own_{suffix[1:]}_net'
    (tmp_path / f'{name}.py').write_text(
        'from hvc_mm.models import HVCResNet\n'
        'from hvc_mm.registry import MODELS\n'
        f"@MODELS.register_module('{name}')\n"
        'class Net(HVCResNet):\n'
        '    pass\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / f'backbones{suffix}'
    imports = dict(imports=[name])
    content = {'own': f'{name}:depth=18,stage=1'}
    if suffix == '.py':
        path.write_text(
            f'custom_imports = {imports!r}\nbackbones = {content!r}\n'
        )
    else:
        path.write_text(
            json.dumps({'custom_imports': imports, 'backbones': content})
        )
    assert make(str(path)).channels == 64
    for text in (str(imports), '[1]'):
        path.write_text(
            path.read_text().replace(name, 'nowhere').replace(text, '[1]')
        )
        with pytest.raises(BackboneError, match='nowhere|custom_imports'):
            parse_backbones([str(path)])


def test_one_or_several_of_the_maps():
    text = "TorchvisionBackbone:model=resnet18,nodes=['layer1','layer2']"
    one = make(f'{text},map=1')
    assert (one.channels, one.stride) == (128, 8)
    assert one.overrides['model.feature_index'] == 1
    assert one.title == 'TorchvisionBackbone, map 1'
    both = make(f'{text},map=(0,1)')
    assert (both.channels, both.stride) == (192, 4)


@pytest.mark.mmdet
def test_a_class_of_mmdet():
    backbone = make('mmdet.ResNet:depth=18,stage=2,frozen_stages=-1')
    assert (backbone.channels, backbone.stride) == (128, 8)
    refused('mmdet.ResNet:depth=18,stage=5', 'stage 5 cannot be built')


def test_one_of_two_networks(pretrained, tmp_path):
    state = torch.load(pretrained, weights_only=True)['state_dict']
    state = {name[len('backbone.') :]: t for name, t in state.items()}
    zeros = {name: tensor * 0 for name, tensor in state.items()}
    path = tmp_path / 'pair.pth'
    torch.save({'model': state, 'model_ema': zeros}, path)
    for text in (f'a={path}', f'a=HVCResNet:depth=18,weights={path}'):
        refused(f'{text}', "--prefix (prefix= in Python) 'model' or 'model_e")
    for prefix in ('model', 'model_ema'):
        init_cfg = make(f'a={path}:prefix={prefix}').config['init_cfg']
        assert init_cfg['prefix'] == prefix
        text = f'a=HVCResNet:depth=18,stage=2,weights={path},prefix={prefix}'
        overrides = make(text).overrides
        assert overrides['model.weights_prefix'] == prefix
        assert overrides['load_from'] == str(path)
    refused(f'a={path}:prefix=odd', "prefix 'odd'; found 'model', 'model_ema'")


def test_weights_of_an_ensembles_members_are_hashed(pretrained):
    member = dict(type='HVCResNet', depth=18, out_indices=(1,))
    init = dict(type='hvc_mm.PretrainedBackbone', checkpoint=pretrained)
    members = [member, dict(member, init_cfg=init)]
    entry = dict(type='FeatureEnsemble', members=members)
    backbone = make_backbone('two', entry)
    assert backbone.channels == 256
    assert list(backbone.weights) == [pretrained]


def test_crws_padding_is_set(tmp_path):
    state = HVCResNet(18, padding_mode='reflect').state_dict()
    renamed = {
        'encoder.model.' + name.replace('.weight', '.1.weight')
        if 'conv' in name and value.shape[-1] > 1
        else f'encoder.model.{name}': value
        for name, value in state.items()
    }
    torch.save({'model': renamed}, tmp_path / 'crw.pth')
    backbone = make(str(tmp_path / 'crw.pth'))
    assert backbone.config['padding_mode'] == 'reflect'


def refused(text, *parts):
    with pytest.raises(BackboneError) as caught:
        make(text)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize('stage', [0, 5])
def test_a_stage_that_is_not_there(pretrained, stage):
    refused(
        f'hvc={pretrained}:stage={stage}',
        f'backbone hvc: stage {stage} is not there',
        'ResNet-18 with stages 1 to 4',
    )
    refused(
        f'r=HVCResNet:stage={stage}',
        f'backbone r: HVCResNet, stage {stage} cannot be built',
        'expected stages between 0 (layer1) and 3 (layer4)',
    )


def test_a_stage_that_the_file_does_not_hold(tmp_path):
    path = tmp_path / 'three.pth'
    torch.save(HVCResNet(18, out_indices=(2,)).state_dict(), path)
    refused(f'{path}:stage=4', 'stage 4 is not there', 'stages 1 to 3')


def test_a_map_that_is_not_there_or_has_to_be_chosen():
    text = 'HVCResNet:out_indices=(1,2)'
    refused(f'{text},map=2', 'map 2, but the backbone returned 2 maps')
    refused(text, 'set map to the one')
    text = 'TorchvisionBackbone:model=resnet18,nodes=layer2,stage=2'
    refused(text, 'has no out_indices to choose a stage by', 'map=INDEX')


def test_weights_that_cannot_be_read_or_are_of_another_network(
    tmp_path, pretrained
):
    broken = tmp_path / 'broken.pth'
    broken.write_bytes(b'<html>not found</html>')
    for text in (f'a={broken}', f'a=HVCResNet:weights={broken}'):
        refused(text, f'backbone a: {broken}: ', "can't be read")
    refused('a=HVCResNet:weights=no.pth', 'no.pth: there is no such file')
    path = tmp_path / 'vit.pth'
    torch.save({'cls_token': torch.zeros(1)}, path)
    refused(f'a={path}', 'backbone a', 'no ResNet or Vision Transformer in')
    refused(f'a=HVCResNet:weights={path}', 'vit.pth: none of the tensors')
    state = {
        'patch_embed.proj.weight': torch.ones(8, 3, 4, 4),
        'blocks.0.attn.qkv.weight': torch.ones(24, 8),
    }
    torch.save({'teacher': state}, path)
    said = 'Vision Transformer of width 8, 1 blocks, patch size 4'
    refused(f'a={path}', 'vit.pth: holds a ' + said, 'name its network')
    refused(f'a=HVCResNet:weights={path}', 'none of the', 'it holds a ' + said)
    refused(
        f'a=HVCResNet:depth=34,weights={pretrained}',
        '.pth: the checkpoint lacks',
        "under 'state_dict.backbone'",
        'Is it another architecture',
    )


def test_classes_that_are_not_there_or_fail():
    refused('a=NoSuchNet', 'backbone a: NoSuchNet is in no registry')
    refused('a=nowhere.ResNet:depth=50', 'nowhere.ResNet is in no registry')
    refused('a=HVCResNet:depth=19', 'HVCResNet cannot be built: ', '19')
    # Of the registry, but no backbone.
    refused('a=ConvProjector', 'backbone a')
