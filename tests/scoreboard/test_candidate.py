"""Backbones are built, loaded and tried before anything is scored."""

import pytest
import torch

from hvc_mm.checkpoint import sha256_of
from hvc_mm.models import HVCResNet
from hvc_mm.scoreboard.backbone_spec import BackboneError, parse_backbone
from hvc_mm.scoreboard.candidate import grid_of, make_candidate


@pytest.fixture(scope='module')
def pretrained(tmp_path_factory):
    """What pre-training writes."""
    torch.manual_seed(0)
    state = HVCResNet(18).state_dict()
    path = tmp_path_factory.mktemp('weights') / 'epoch_20.pth'
    content = {f'backbone.{name}': value for name, value in state.items()}
    torch.save({'state_dict': content, 'meta': {'epoch': 20}}, path)
    return path


@pytest.mark.parametrize(
    'stage, channels, stride', [(1, 64, 4), (2, 128, 8), (4, 512, 8)]
)
def test_any_stage_of_a_file(pretrained, stage, channels, stride):
    candidate = make_candidate(parse_backbone(f'{pretrained}:stage={stage}'))
    assert (candidate.channels, candidate.stride) == (channels, stride)
    assert candidate.title == f'ResNet-18, layer{stage}'


def test_layer3_of_a_file_is_the_default(pretrained):
    candidate = make_candidate(parse_backbone(f'hvc={pretrained}'))
    assert candidate.name == 'hvc'
    assert candidate.backbone['depth'] == 18
    assert candidate.backbone['out_indices'] == (2,)
    assert candidate.channels == 256
    # The config itself says where the weights are.
    assert candidate.load_from is None
    assert candidate.weights == {str(pretrained): sha256_of(pretrained)}
    built = HVCResNet(18, out_indices=(2,))
    count = sum(p.numel() for p in built.parameters())
    assert candidate.parameters == count
    assert grid_of(candidate, (320, 320)) == (40, 40)


def test_a_class_at_random_and_with_weights(pretrained):
    random = make_candidate(parse_backbone('HVCResNet:depth=18,stage=2'))
    assert random.weights == {}
    assert random.title == 'HVCResNet, stage 2'
    text = f'HVCResNet:depth=18,stage=2,weights={pretrained}'
    loaded = make_candidate(parse_backbone(text))
    assert loaded.load_from == str(pretrained)
    assert list(loaded.weights) == [str(pretrained)]


def test_one_or_several_of_the_maps():
    text = "TorchvisionBackbone:model=resnet18,nodes=['layer1','layer2']"
    one = make_candidate(parse_backbone(f'{text},map=1'))
    assert (one.channels, one.stride, one.feature_index) == (128, 8, 1)
    both = make_candidate(parse_backbone(f'{text},map=(0,1)'))
    assert (both.channels, both.stride) == (192, 4)


@pytest.mark.mmdet
def test_a_class_of_mmdet():
    candidate = make_candidate(
        parse_backbone('mmdet.ResNet:depth=18,stage=2,frozen_stages=-1')
    )
    assert (candidate.channels, candidate.stride) == (128, 8)


def test_weights_of_an_ensembles_members_are_hashed(pretrained):
    member = dict(type='HVCResNet', depth=18, out_indices=(1,))
    init = dict(type='hvc_mm.PretrainedBackbone', checkpoint=str(pretrained))
    from hvc_mm.scoreboard.backbone_spec import spec_of

    members = [member, dict(member, init_cfg=init)]
    spec = spec_of('two', dict(type='FeatureEnsemble', members=members))
    candidate = make_candidate(spec)
    assert candidate.channels == 256
    assert list(candidate.weights) == [str(pretrained)]


def test_crws_padding_is_set(tmp_path):
    state = HVCResNet(18, padding_mode='reflect').state_dict()
    renamed = {
        'encoder.model.' + name.replace('.weight', '.1.weight')
        if 'conv' in name and value.shape[-1] > 1
        else f'encoder.model.{name}': value
        for name, value in state.items()
    }
    path = tmp_path / 'crw.pth'
    torch.save({'model': renamed}, path)
    candidate = make_candidate(parse_backbone(str(path)))
    assert candidate.backbone['padding_mode'] == 'reflect'


def _refused(text, *parts):
    with pytest.raises(BackboneError) as caught:
        make_candidate(parse_backbone(text))
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize('stage', [0, 5])
def test_a_stage_that_is_not_there(pretrained, stage):
    _refused(
        f'hvc={pretrained}:stage={stage}',
        f'backbone hvc: stage {stage} is not there',
        'ResNet-18 with stages 1 to 4',
    )
    _refused(
        f'r=HVCResNet:stage={stage}',
        f'backbone r: HVCResNet cannot be built (is there a stage {stage}?)',
        'expected stages between 0 (layer1) and 3 (layer4)',
    )


def test_a_stage_that_the_file_does_not_hold(tmp_path):
    path = tmp_path / 'three.pth'
    torch.save(HVCResNet(18, out_indices=(2,)).state_dict(), path)
    _refused(f'{path}:stage=4', 'stage 4 is not there', 'stages 1 to 3')


@pytest.mark.mmdet
def test_a_stage_that_a_foreign_class_has_not():
    _refused('mmdet.ResNet:depth=18,stage=5', 'is there a stage 5?')


def test_a_map_that_is_not_there_or_has_to_be_chosen():
    text = 'HVCResNet:out_indices=(1,2)'
    _refused(f'{text},map=2', 'map 2, but the backbone returned 2 maps')
    _refused(text, 'set map to the one')
    text = 'TorchvisionBackbone:model=resnet18,nodes=layer2,stage=2'
    _refused(text, 'has no out_indices to choose a stage by', 'map=INDEX')


def test_an_unreadable_checkpoint(tmp_path):
    path = tmp_path / 'broken.pth'
    path.write_bytes(b'<html>not found</html>')
    for text in (f'a={path}', f'a=HVCResNet:weights={path}'):
        _refused(text, f'backbone a: {path}: ', "can't be read")
    _refused('a=HVCResNet:weights=no.pth', 'no.pth: there is no such file')


def test_weights_of_another_network(tmp_path, pretrained):
    path = tmp_path / 'vit.pth'
    torch.save({'cls_token': torch.zeros(1)}, path)
    _refused(f'a={path}', 'backbone a', 'no ResNet in any known layout')
    _refused(
        f'a=HVCResNet:weights={path}', 'vit.pth for HVCResNet: none of the'
    )
    _refused(
        f'a=HVCResNet:depth=34,weights={pretrained}',
        'for HVCResNet: the checkpoint lacks',
        "under 'state_dict / backbone.'",
        'Is it another architecture',
    )


def test_classes_that_are_not_there_or_fail():
    _refused('a=NoSuchNet', 'backbone a: NoSuchNet is in no registry')
    _refused('a=nowhere.ResNet:depth=50', 'nowhere.ResNet is in no registry')
    _refused('a=HVCResNet:depth=19', 'HVCResNet cannot be built: ', '19')
    # Of the registry, but no backbone.
    _refused('a=ConvProjector', 'backbone a')
