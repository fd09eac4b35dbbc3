"""Models from configs and weights."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from hvc_mm.apis import init_model


def test_weights_reach_the_backbone(tiny_cfg, tiny_model, tmp_path):
    path = tmp_path / 'w.pth'
    weights = {
        name: torch.randn_like(tensor)
        if tensor.is_floating_point()
        else tensor
        for name, tensor in tiny_model.backbone.state_dict().items()
    }
    # As mmengine saves a pre-training, and as a plain file of a backbone.
    for content in (
        {'state_dict': {f'backbone.{k}': v for k, v in weights.items()}},
        {'model': {f'online_encoder.{k}': v for k, v in weights.items()}},
        weights,
    ):
        torch.save(content, path)
        model = init_model(tiny_cfg, path, device='cpu')
        for name, tensor in model.backbone.state_dict().items():
            assert torch.equal(tensor, weights[name]), name
    assert not model.training


def test_config_forms_and_options(tiny_cfg):
    for form in (tiny_cfg, Config(tiny_cfg)):
        with pytest.warns(UserWarning, match='random'):
            model = init_model(
                form, device='cpu', cfg_options={'model.propagator.topk': 2}
            )
        assert model.propagator.topk == 2
        assert model.cfg.model.propagator.topk == 2
    assert tiny_cfg['model']['propagator']['topk'] == 5


def test_a_name_will_do():
    with pytest.warns(UserWarning, match='random'):
        model = init_model('hvc_davis', device='cpu')
    assert model.propagator.context == 50


def test_another_default_scope_is_left_alone(tiny_cfg):
    with DefaultScope.overwrite_default_scope('mmengine'):
        with pytest.warns(UserWarning, match='random'):
            init_model(tiny_cfg, device='cpu')
        current = DefaultScope.get_current_instance()
        assert current.scope_name == 'mmengine'


def test_what_cannot_be_used_is_named(tiny_cfg, tmp_path):
    with pytest.raises(FileNotFoundError, match='no.pth'):
        init_model(tiny_cfg, tmp_path / 'no.pth')
    with pytest.raises(TypeError, match='hvc_coco.*type HVC'):
        init_model('hvc_coco', device='cpu')
    (tmp_path / 'bad.pth').write_bytes(b'<html>')
    with pytest.raises(ValueError, match='bad.pth'):
        init_model(tiny_cfg, tmp_path / 'bad.pth')
    torch.save({'fc.weight': torch.ones(2)}, tmp_path / 'fc.pth')
    with pytest.raises(ValueError, match='fc.pth: none of the tensors'):
        init_model(tiny_cfg, tmp_path / 'fc.pth')
