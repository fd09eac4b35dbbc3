import pytest
import torch
from torch import nn

from hvc_mm.models import HVCResNet
from hvc_mm.weights import CheckpointError, publish, read_record, sha256_of


def _training_checkpoint(path, backbone):
    """What mmengine saves of HVC, as far as it matters here."""
    state = backbone.state_dict()
    torch.save(
        {
            'state_dict': {
                **{f'backbone.{k}': v for k, v in state.items()},
                **{f'target.module.backbone.{k}': v for k, v in state.items()},
                'projector.conv1.weight': torch.ones(2),
            },
            'meta': {'epoch': 3, 'iter': 300, 'cfg': 'model = ...'},
            'optimizer': {'state': {}},
        },
        path,
    )
    return state


def test_resnet(tmp_path):
    source, output = tmp_path / 'epoch_3.pth', tmp_path / 'hvc.pth'
    state = _training_checkpoint(source, HVCResNet(18, out_indices=(0,)))
    publish(source).save(output)
    plain = torch.load(output, weights_only=True)
    assert list(plain) == list(state)
    assert all(torch.equal(plain[k], v) for k, v in state.items())
    record = read_record(output)
    assert record['sha256'] == sha256_of(source)
    assert (record['epoch'], record['iter']) == (3, 300)
    assert 'cfg' not in record
    assert record['left_over'] == len(state) + 1


def test_another_architecture_keeps_its_names(tmp_path):
    source = tmp_path / 'epoch_3.pth'
    state = _training_checkpoint(source, nn.Sequential(nn.Linear(2, 3)))
    conversion = publish(source)
    assert set(conversion.state_dict) == set(state) == {'0.weight', '0.bias'}
    assert conversion.record()['architecture'] == 'not a ResNet'


def test_without_a_backbone(tmp_path):
    path = tmp_path / 'plain.pth'
    torch.save(HVCResNet(18, out_indices=(0,)).state_dict(), path)
    with pytest.raises(CheckpointError, match='plain.pth: no tensor under'):
        publish(path)


def test_incomplete_resnet(tmp_path):
    path = tmp_path / 'cut.pth'
    state = HVCResNet(18, out_indices=(0,)).state_dict()
    del state['layer1.1.conv2.weight']
    torch.save({f'backbone.{k}': v for k, v in state.items()}, path)
    with pytest.raises(CheckpointError, match='cut.pth: 1 tensors.*layer1.1'):
        publish(path)
