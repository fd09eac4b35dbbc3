"""``convert.py`` on a file in each layout that others use."""

import argparse
import json
import os
import re
import runpy
import subprocess
import sys

import pytest
import torch

from hvc_mm.models import HVCResNet

TOOL = 'tools/model_converters/convert.py'


def _backbone(depth, stages=1):
    torch.manual_seed(depth)
    network = HVCResNet(depth, out_indices=(stages - 1,))
    with torch.no_grad():
        for buffer in network.buffers():
            if buffer.is_floating_point():
                buffer.uniform_()
    return network.state_dict()


def _under(prefix, state, *others):
    """A state dict with a prefix before its names, and tensors beside it."""
    tensors = {prefix + name: value for name, value in state.items()}
    return {**tensors, **{name: torch.ones(2) for name in others}}


def _hvc_release(state):
    return dict(state)


def _hvc_training(state):
    return {
        'model': _under('online_encoder.', state, 'flow_head.conv1.weight'),
        'optimizer': {'state': {}, 'param_groups': [{'lr': 1e-3}]},
        'epoch': 19,
        'args': argparse.Namespace(lr=1e-3, batch_size=128),
    }


def _moco(state):
    prefix = 'module.encoder_q.'
    return {
        'epoch': 200,
        'arch': 'resnet50',
        'state_dict': _under(
            prefix, state, f'{prefix}fc.weight', f'{prefix}fc.bias'
        ),
    }


def _dino(state):
    return dict(state)


def _simsiam(state):
    prefix = 'module.encoder.'
    others = f'{prefix}fc.0.weight', 'module.predictor.0.weight'
    return {'state_dict': _under(prefix, state, *others), 'epoch': 100}


def _pixpro(state):
    others = 'module.encoder_k.conv1.weight', 'module.projector.linear1.bias'
    return {
        'opt': argparse.Namespace(model='PixPro'),
        'model': _under('module.encoder.', state, *others),
    }


def _crw(state):
    """Its padded convolutions are the second of two layers."""
    padded = {
        name.replace('.weight', '.1.weight')
        if re.search(r'conv\d\.weight$', name) and value.shape[-1] > 1
        else name: value
        for name, value in state.items()
    }
    return {
        'model': _under('encoder.model.', padded, 'selfsim_fc.0.weight'),
        'args': argparse.Namespace(dropout=0.1),
    }


def _vfs(state):
    """Every convolution and its norm are one ``ConvModule``."""
    patterns = (
        (r'(^|\.)conv(\d)\.', r'\1conv\2.conv.'),
        (r'(^|\.)bn(\d)\.', r'\1conv\2.bn.'),
        (r'downsample\.0\.', 'downsample.conv.'),
        (r'downsample\.1\.', 'downsample.bn.'),
    )
    renamed = {}
    for name, value in state.items():
        for pattern, new in patterns:
            name = re.sub(pattern, new, name)
        renamed[name] = value
    return {'state_dict': _under('backbone.', renamed, 'img_head.fc.weight')}


def _torchvision(state):
    return _under('', state, 'fc.weight', 'fc.bias')


def _mm(state):
    others = 'neck.convs.0.weight', 'head.fc.weight'
    return {
        'meta': {'CLASSES': ('person',)},
        'state_dict': _under('backbone.', state, *others),
    }


# How the file is made, its depth, what --from says, tensors left over.
CASES = {
    'hvc_release': (_hvc_release, 18, 'hvc', 0),
    'hvc_training': (_hvc_training, 18, 'hvc', 1),
    'moco': (_moco, 50, 'moco', 2),
    'dino': (_dino, 50, 'dino', 0),
    'simsiam': (_simsiam, 50, 'simsiam', 2),
    'pixpro': (_pixpro, 50, 'pixpro', 2),
    'crw': (_crw, 18, 'crw', 1),
    'vfs': (_vfs, 18, 'vfs', 1),
    'vfs_r50': (_vfs, 50, 'vfs', 1),
    'torchvision': (_torchvision, 18, 'torchvision', 2),
    'mm': (_mm, 50, 'mm', 2),
}


@pytest.fixture
def convert(root_dir, monkeypatch, capsys):
    """Run the tool as its command line does; gives what it printed."""

    def run(*arguments):
        argv = [TOOL, *map(str, arguments)]
        monkeypatch.setattr(sys, 'argv', argv)
        monkeypatch.syspath_prepend(str((root_dir / TOOL).parent))
        runpy.run_path(str(root_dir / TOOL), run_name='__main__')
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize('case', CASES)
@pytest.mark.parametrize('asked', ['auto', 'by name'])
def test_each_layout(convert, tmp_path, case, asked):
    make, depth, layout, left_over = CASES[case]
    state = _backbone(depth)
    source, output = tmp_path / f'{case}.pth', tmp_path / 'out.pth'
    torch.save(make(state), source)
    options = [] if asked == 'auto' else ['--from', layout]
    printed = convert(source, output, *options)

    converted = torch.load(output, weights_only=True)
    assert list(converted) == list(state)
    assert all(torch.equal(converted[k], v) for k, v in state.items())
    assert f'ResNet-{depth}' in printed
    assert re.search(rf'^matched +{len(state)}$', printed, re.M)
    assert re.search(rf'^left over +{left_over}\b', printed, re.M)
    assert re.search(r'^missing +0$', printed, re.M)
    assert ('reflect padding' in printed) == (layout == 'crw')
    record = json.loads((tmp_path / 'out.pth.json').read_text())
    assert record['source'] == f'{case}.pth'
    assert record['matched'] == len(state)
    if asked == 'by name':
        assert record['layout'] == layout


def test_missing_tensors_are_named_and_warned_of(convert, tmp_path):
    state = _backbone(18)
    del state['layer1.1.bn2.running_var']
    torch.save(state, tmp_path / 'a.pth')
    printed = convert(tmp_path / 'a.pth', tmp_path / 'out.pth')
    assert re.search(r'^missing +1: layer1.1.bn2.running_var$', printed, re.M)
    assert 'WARNING' in printed


@pytest.mark.parametrize(
    'content, options, message',
    [
        ({'w': torch.ones(2)}, [], 'no ResNet in any known layout'),
        ({'w': torch.ones(2)}, ['--from', 'crw'], 'layout of CRW'),
        ({'x': re.compile('a')}, [], 'refused, because'),
    ],
)
def test_refusals_name_the_file(convert, tmp_path, content, options, message):
    source, output = tmp_path / 'bad.pth', tmp_path / 'out.pth'
    torch.save(content, source)
    with pytest.raises(SystemExit, match=f'bad.pth: .*{message}'):
        convert(source, output, *options)
    assert not output.exists()


def test_one_file_for_both(convert, tmp_path):
    path = tmp_path / 'a.pth'
    torch.save(_backbone(18), path)
    before = path.read_bytes()
    with pytest.raises(SystemExit, match='same file'):
        convert(path, path)
    assert path.read_bytes() == before


def test_as_a_user_runs_it(root_dir, tmp_path):
    source, output = tmp_path / 'crw.pth', tmp_path / 'out.pth'
    torch.save(_crw(_backbone(18, stages=3)), source)
    command = [sys.executable, TOOL, str(source), str(output)]
    done = subprocess.run(
        command,
        cwd=root_dir,
        env={**os.environ, 'PYTHONPATH': str(root_dir)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert 'CRW (model / encoder.model.), ResNet-18, 3 of 4' in done.stdout
    network = HVCResNet(18, out_indices=(2,), padding_mode='reflect')
    network.load_state_dict(torch.load(output, weights_only=True))
