"""A backbone's weights out of other models' checkpoints."""

import pytest
import torch
from mmengine.runner.checkpoint import _load_checkpoint_to_model

from hvc_mm.models.backbones import HVCResNet
from hvc_mm.models.vos import LabelPropagationVOS, backbone_weights

R18 = dict(type='hvc_mm.HVCResNet', depth=18, out_indices=(2,))


def _source():
    torch.manual_seed(3)
    source = HVCResNet(18)
    for parameter in source.parameters():
        torch.nn.init.normal_(parameter)
    return source.state_dict()


def _loaded_equals(backbone, source):
    return all(
        torch.equal(tensor, source[name])
        for name, tensor in backbone.state_dict().items()
    )


@pytest.mark.parametrize(
    'prefix', ['', 'backbone.', 'module.encoder_q.', 'online_encoder.']
)
@pytest.mark.parametrize('how', ['torch', 'mmengine'])
def test_finds_the_backbone_under_any_prefix(prefix, how):
    source = _source()
    checkpoint = {prefix + name: tensor for name, tensor in source.items()}
    checkpoint['fc.weight'] = torch.zeros(2, 2)
    model = LabelPropagationVOS(R18)
    if how == 'torch':
        model.load_state_dict(checkpoint)
    else:
        _load_checkpoint_to_model(model, {'state_dict': checkpoint})
    assert _loaded_equals(model.backbone, source)


def test_online_network_comes_before_the_target():
    source = _source()
    checkpoint = {
        f'target.module.backbone.{n}': torch.zeros_like(t)
        for n, t in source.items()
    }
    checkpoint.update({f'backbone.{n}': t for n, t in source.items()})
    model = LabelPropagationVOS(R18)
    model.load_state_dict(checkpoint)
    assert _loaded_equals(model.backbone, source)


def test_own_checkpoint_and_first_member_of_an_ensemble():
    source = _source()
    r50 = dict(type='hvc_mm.HVCResNet', depth=50, out_indices=(2,))
    ensemble = dict(type='hvc_mm.FeatureEnsemble', members=[R18, r50])
    model = LabelPropagationVOS(ensemble)
    second = {
        n: t.clone() for n, t in model.backbone.members[1].state_dict().items()
    }
    # Strict: what isn't meant for it isn't missed.
    model.load_state_dict(source)
    assert _loaded_equals(model.backbone.members[0], source)
    assert _loaded_equals(model.backbone.members[1], second)
    other = LabelPropagationVOS(ensemble)
    other.load_state_dict(model.state_dict())
    assert _loaded_equals(other.backbone.members[1], second)


def test_refuses_when_nothing_matches_and_says_what_it_saw():
    model = LabelPropagationVOS(R18)
    with pytest.raises(ValueError, match='none of the 1 tensors.*vit.pos'):
        model.load_state_dict({'vit.pos': torch.zeros(1)})
    wider = {'conv1.weight': torch.zeros(128, 3, 7, 7)}
    with pytest.raises(ValueError, match='128, 3, 7, 7'):
        model.load_state_dict(wider)


def test_reports_how_many_matched(monkeypatch):
    said = []
    monkeypatch.setattr(
        backbone_weights, 'print_log', lambda text, *_, **__: said.append(text)
    )
    LabelPropagationVOS(R18).load_state_dict(_source())
    assert said == [
        "90 of 90 tensors of backbone found in the checkpoint under ''"
    ]


@pytest.mark.parametrize('depth', [18, 50])
def test_refuses_to_leave_a_part_at_random(depth):
    source = HVCResNet(depth).state_dict()
    if depth == 18:
        del source['layer2.0.conv1.weight']
    model = LabelPropagationVOS(R18)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    number = {18: '1 of the 90', 50: r'\d+ of the 90'}[depth]
    with pytest.raises(ValueError, match=f'lacks {number} tensors') as error:
        # As mmengine loads a checkpoint for a test.
        model.load_state_dict(source, strict=False)
    assert 'layer' in str(error.value)
    now = model.state_dict()
    assert all(torch.equal(value, before[k]) for k, value in now.items())
