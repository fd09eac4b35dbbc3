"""The hook alone; tests/tools/test_validation.py trains with it."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel

from hvc_mm.engine.hooks import VOSValidationHook, WholeCheckpointHook
from hvc_mm.engine.hooks.vos_validation_hook import validated_model
from hvc_mm.engine.run_config import read_config
from hvc_mm.models import LabelPropagationVOS
from hvc_mm.registry import MODELS

VAL_MODEL = dict(
    type='hvc_mm.LabelPropagationVOS', backbone=dict(out_indices=(0,))
)


@pytest.fixture
def runner(hvc_cfg):
    """What the hook uses of a runner, with a real model and config."""
    torch.manual_seed(0)
    hvc_cfg['backbone']['init_cfg'] = dict(type='Pretrained', checkpoint='-')
    cfg = Config(dict(model=hvc_cfg, val_model=VAL_MODEL))
    model = MODELS.build(cfg.model).train()
    # As a checkpoint would: a batch norm's statistics are not the first.
    model.backbone.bn1.running_mean.normal_()
    return SimpleNamespace(model=model, cfg=cfg)


def test_the_model_is_another_while_it_is_validated(runner):
    hook, trained = VOSValidationHook(), runner.model
    before = {k: v.clone() for k, v in trained.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    hook.before_val_epoch(runner)
    assert isinstance(runner.model, LabelPropagationVOS)
    assert not runner.model.training and trained.training
    assert runner.model.backbone.out_indices == (0,)
    found = runner.model.backbone.state_dict()
    for name, tensor in found.items():
        assert torch.equal(tensor, before[f'backbone.{name}']), name
    # A validation may do to it what it likes.
    runner.model.backbone.bn1.running_mean.add_(1)
    torch.rand(7)
    hook.after_val_epoch(runner)
    assert runner.model is trained
    for name, tensor in trained.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert torch.equal(torch.rand(4), expected)


def test_a_whole_backbone_and_one_in_a_host(runner):
    trained = runner.model.backbone
    part = dict(type='HVCResNet', depth=18, out_indices=(1,), strides=(1, 1))
    runner.cfg.val_model.backbone = part
    runner.model.model = SimpleNamespace(backbone=trained)
    runner.cfg.model = dict(type='WithHVCLoss', model=runner.cfg.model)
    built = validated_model(runner)
    assert built.extract_feat([torch.zeros(3, 32, 32)])[0].shape[-1] == 8
    runner.cfg.val_model.backbone = dict(out_indices=(0,))
    built = validated_model(runner)
    assert built.backbone.depth == trained.depth


class Predicts(BaseModel):
    def forward(self, inputs, data_samples=None, mode='tensor'):
        return []


def test_without_a_val_model(runner):
    runner.cfg.val_model, runner.val_loop = None, object()
    hook = VOSValidationHook()
    with pytest.raises(ValueError, match='HVC predicts nothing .*minival.py'):
        hook.before_train(runner)
    runner.model = model = Predicts()
    hook.before_train(runner)
    hook.before_val_epoch(runner)
    assert runner.model is model
    hook.after_val_epoch(runner)
    assert runner.model is model


@pytest.mark.parametrize('key', ['davis/J&F', 'ytvos/overall', 'vip/mIoU'])
def test_our_scores_need_no_rule(key):
    assert WholeCheckpointHook(save_best=key).rules == ['greater']


def test_the_config_part_has_the_protocol(root_dir):
    part = read_config(root_dir / 'configs/_base_/datasets/davis17_minival.py')
    model, val_model = read_config('hvc_davis').model, part.val_model

    def without_scopes(value):
        if isinstance(value, dict):
            return {k: without_scopes(v) for k, v in value.items()}
        return value[7:] if str(value).startswith('hvc_mm.') else value

    expected = dict(model, backbone=dict(out_indices=(2,)))
    assert without_scopes(val_model) == expected
    metric = without_scopes(part.val_evaluator)
    assert metric == read_config('hvc_davis').test_evaluator
