import pytest
import torch
from mmengine.registry import MODELS, DefaultScope

from hvc_mm.models import HVCResNet
from hvc_mm.weights import CheckpointError, PretrainedBackbone


def _checkpoint(path, depth=18, stages=2, prefix='backbone.'):
    torch.manual_seed(3)
    state = HVCResNet(depth, out_indices=(stages - 1,)).state_dict()
    content = {prefix + k: v for k, v in state.items()}
    content['target.module.' + prefix + 'conv1.weight'] = torch.ones(1)
    torch.save({'state_dict': content, 'meta': {}}, path)
    return state


@pytest.mark.parametrize('scope', ['hvc_mm', 'mmengine', 'mmdet'])
def test_from_a_config(tmp_path, scope):
    if scope == 'mmdet':
        pytest.importorskip('mmdet')
    state = _checkpoint(tmp_path / 'epoch_1.pth')
    cfg = dict(
        type='hvc_mm.HVCResNet',
        depth=18,
        out_indices=(0, 1),
        init_cfg=dict(
            type='hvc_mm.PretrainedBackbone',
            checkpoint=str(tmp_path / 'epoch_1.pth'),
        ),
    )
    with DefaultScope.overwrite_default_scope(scope):
        backbone = MODELS.build(cfg)
        assert not torch.equal(backbone.conv1.weight, state['conv1.weight'])
        backbone.init_weights()
    assert all(
        torch.equal(v, state[k]) for k, v in backbone.state_dict().items()
    )


def test_stages_that_the_module_has_not_are_left_out(tmp_path):
    state = _checkpoint(tmp_path / 'a.pth', stages=3)
    backbone = HVCResNet(18, out_indices=(0,))
    PretrainedBackbone(str(tmp_path / 'a.pth'))(backbone)
    assert all(
        torch.equal(v, state[k]) for k, v in backbone.state_dict().items()
    )


@pytest.mark.parametrize('depth, stages', [(50, 2), (18, 1)])
def test_a_file_that_lacks_tensors_is_refused(tmp_path, depth, stages):
    path = tmp_path / 'other.pth'
    _checkpoint(path, depth, stages)
    backbone = HVCResNet(18, out_indices=(1,))
    before = backbone.conv1.weight.clone()
    with pytest.raises(CheckpointError, match='other.pth.*lacks') as error:
        PretrainedBackbone(str(path))(backbone)
    assert f'ResNet-{depth} with {stages} stages' in str(error.value)
    assert torch.equal(backbone.conv1.weight, before)
