import json
import warnings

import pytest
import torch

from hvc_mm.models import HVCResNet
from hvc_mm.weights import (
    CheckpointError,
    convert_checkpoint,
    convert_file,
    read_record,
    sha256_of,
)


def _on_meta(depth, stages=4):
    """Names and shapes without memory: depth is told by these alone."""
    with torch.device('meta'):
        return HVCResNet(depth, out_indices=(stages - 1,)).state_dict()


def _small(seed=0):
    torch.manual_seed(seed)
    return HVCResNet(18, out_indices=(0,)).state_dict()


@pytest.mark.parametrize('depth', [18, 34, 50, 101])
@pytest.mark.parametrize('stages', [3, 4])
def test_depth_and_stages(depth, stages):
    state = dict(_on_meta(depth, stages))
    for name in list(state):
        if name.endswith('num_batches_tracked'):
            del state[name]
    conversion = convert_checkpoint(state)
    assert (conversion.depth, conversion.stages) == (depth, stages)
    assert conversion.missing == [] and conversion.left_over == []
    assert set(conversion.state_dict) == set(state)


def test_counts():
    state = dict(_on_meta(18), **{'fc.weight': torch.ones(1000, 512)})
    del state['layer3.0.conv2.weight']
    state['layer1.0.bn2.bias'] = torch.ones(3)
    conversion = convert_checkpoint(state)
    assert conversion.depth == 18
    assert sorted(conversion.missing) == [
        'layer1.0.bn2.bias',
        'layer3.0.conv2.weight',
    ]
    assert sorted(conversion.left_over) == ['fc.weight', 'layer1.0.bn2.bias']
    assert len(conversion.state_dict) == len(state) - 2
    record = conversion.record()
    assert record['matched'] == len(state) - 2
    assert record['left_over'] == record['missing'] == 2


def test_file_and_its_record(tmp_path):
    state = _small()
    source = tmp_path / 'moco_v1.pth.tar'
    tensors = {f'module.encoder_q.{k}': v for k, v in state.items()}
    tensors['module.encoder_q.fc.weight'] = torch.ones(2, 2)
    torch.save({'state_dict': tensors, 'epoch': 200}, source)
    output = tmp_path / 'new' / 'moco.pth'
    convert_file(source).save(output)

    plain = torch.load(output, weights_only=True)
    assert list(plain) == list(state)
    assert all(torch.equal(plain[name], state[name]) for name in state)
    HVCResNet(18, out_indices=(0,)).load_state_dict(plain)

    record = read_record(output)
    assert record == json.loads((tmp_path / 'new/moco.pth.json').read_text())
    assert record['source'] == 'moco_v1.pth.tar'
    assert record['sha256'] == sha256_of(source)
    assert record['layout'] == 'moco'
    assert record['place'] == 'state_dict / module.encoder_q.'
    assert record['architecture'] == 'ResNet-18' and record['stages'] == 1
    assert record['left_over'] == 1 and record['missing'] == 0
    assert read_record(source) is None


def test_an_output_converts_to_itself(tmp_path):
    first, second = tmp_path / 'a.pth', tmp_path / 'b.pth'
    torch.save(_small(), first)
    convert_file(first).save(second)
    again = convert_file(second)
    assert again.layout == 'torchvision' and again.missing == []
    assert all(
        torch.equal(again.state_dict[k], v) for k, v in _small().items()
    )


def test_the_message_names_the_file(tmp_path):
    path = tmp_path / 'linear.pth'
    torch.save(torch.nn.Linear(2, 2).state_dict(), path)
    with pytest.raises(CheckpointError, match='linear.pth: no ResNet'):
        convert_file(path)


def test_real_half_precision_weights_of_three_stages(shared_dir):
    name = 'resnet50_imagenet_caffe_style_rgb_layer1-3_fp16.pth'
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        conversion = convert_file(shared_dir / 'data' / 'weights' / name)
    assert (conversion.depth, conversion.stages) == (50, 3)
    assert conversion.missing == [] and conversion.left_over == []
    network = HVCResNet(50, out_indices=(2,), style='caffe')
    network.load_state_dict(conversion.state_dict)
