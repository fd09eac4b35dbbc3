"""``convert.py`` and ``publish_model.py``, as their command lines run."""

import argparse
import json
import re
import runpy
import sys

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.registry import PARAM_SCHEDULERS, DefaultScope
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from hvc_mm.apis import init_model
from hvc_mm.checkpoint import PretrainedBackbone, read_checkpoint, sha256_of
from hvc_mm.models import HVCResNet


@pytest.fixture
def call(root_dir, monkeypatch, capsys):
    """Run a converter as a command line; return what it printed."""

    def run(tool, *arguments):
        path = root_dir / f'tools/model_converters/{tool}.py'
        monkeypatch.setattr(sys, 'argv', [tool, *map(str, arguments)])
        monkeypatch.syspath_prepend(str(path.parent))
        runpy.run_path(str(path), run_name='__main__')
        return capsys.readouterr().out

    return run


def _backbone(depth=18, stages=1):
    torch.manual_seed(depth)
    network = HVCResNet(depth, out_indices=(stages - 1,))
    with torch.no_grad():
        for buffer in network.buffers():
            if buffer.is_floating_point():
                buffer.uniform_()
    return network.state_dict()


def _under(prefix, state, *others):
    """A state dict with a prefix before its names, and other tensors."""
    tensors = {prefix + name: value for name, value in state.items()}
    return {**tensors, **{name: torch.ones(2) for name in others}}


def _hvc_training(state):
    return {
        'model': _under('online_encoder.', state, 'flow_head.conv1.weight'),
        'optimizer': {'state': {}, 'param_groups': [{'lr': 1e-3}]},
        'epoch': 19,
        'args': argparse.Namespace(lr=1e-3, batch_size=128),
    }


def _moco(state):
    fc = 'module.encoder_q.fc.weight', 'module.encoder_q.fc.bias'
    tensors = _under('module.encoder_q.', state, *fc)
    return {'epoch': 200, 'arch': 'resnet50', 'state_dict': tensors}


def _crw(state):
    """Its padded convolutions are the second of two layers."""
    padded = {
        name.replace('.weight', '.1.weight')
        if re.search(r'conv\d\.weight$', name) and value.shape[-1] > 1
        else name: value
        for name, value in state.items()
    }
    tensors = _under('encoder.model.', padded, 'selfsim_fc.0.weight')
    return {'model': tensors, 'args': argparse.Namespace(dropout=0.1)}


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


# How the file is made, its depth, what --from says, tensors left over. Each
# other layout is in tests/checkpoint/test_layouts.py.
CASES = {
    'hvc_release': (dict, 18, 'hvc', 0),
    'hvc_training': (_hvc_training, 18, 'hvc', 1),
    'moco': (_moco, 50, 'moco', 2),
    'crw': (_crw, 18, 'crw', 1),
    'vfs': (_vfs, 50, 'vfs', 1),
}


@pytest.mark.parametrize('case', CASES)
def test_each_layout(call, tmp_path, case):
    make, depth, layout, left_over = CASES[case]
    state = _backbone(depth)
    source, output = tmp_path / f'{case}.pth', tmp_path / 'new/out.pth'
    torch.save(make(state), source)
    for options in ([], ['--from', layout]):
        printed = call('convert', source, output, *options)
        converted = torch.load(output, weights_only=True)
        assert list(converted) == list(state)
        assert all(torch.equal(converted[k], v) for k, v in state.items())
        HVCResNet(depth, out_indices=(0,)).load_state_dict(converted)
        assert f'ResNet-{depth}, 1 of 4 stages' in printed
        assert re.search(rf'^matched +{len(state)}$', printed, re.M)
        assert re.search(rf'^left over +{left_over}\b', printed, re.M)
        assert re.search(r'^missing +0$', printed, re.M)
        assert ('reflect padding' in printed) == (layout == 'crw')
    record = json.loads(output.with_name('out.pth.json').read_text())
    assert record == read_checkpoint(output).record
    assert record['source'] == f'{case}.pth'
    assert record['sha256'] == sha256_of(source)
    assert record['layout'] == layout
    assert record['architecture'] == f'ResNet-{depth}'
    assert (record['matched'], record['stages']) == (len(state), 1)
    assert (record['left_over'], record['missing']) == (left_over, 0)
    # An output converts to itself.
    assert 'left over  0' in call('convert', output, tmp_path / 'again.pth')


def _vit(blocks=2, c=8):
    """The tensors of a small Vision Transformer, by DINO's names."""
    shapes = {
        'cls_token': (1, 1, c),
        'pos_embed': (1, 10, c),
        'patch_embed.proj.weight': (c, 3, 4, 4),
        'norm.weight': (c,),
    }
    for i in range(blocks):
        shapes[f'blocks.{i}.attn.qkv.weight'] = (3 * c, c)
        shapes[f'blocks.{i}.mlp.fc1.weight'] = (4 * c, c)
    return {name: torch.randn(shape) for name, shape in shapes.items()}


def test_a_vision_transformer_comes_by_dinos_names(call, tmp_path):
    state = _vit()
    hub = {}
    for name, tensor in state.items():
        name = name.replace('blocks.', 'encoder.layer.')
        name = name.replace('patch_embed.proj', 'patch_embeddings.projection')
        name = name.replace('pos_embed', 'position_embeddings')
        name = name.replace('mlp.fc1', 'intermediate.dense')
        name = name.replace('norm.', 'layernorm.')
        if name.startswith(('cls', 'p')):
            name = f'embeddings.{name}'
        parts = zip(('query', 'key', 'value'), tensor.chunk(3))
        for part, rows in parts if '.qkv.' in name else (('', tensor),):
            part_name = name.replace('attn.qkv', f'attention.attention.{part}')
            hub[f'vit.{part_name}'] = rows
    source, output = tmp_path / 'hub.pth', tmp_path / 'out.pth'
    torch.save({**hub, 'classifier.weight': torch.ones(2, 8)}, source)
    printed = call('convert', source, output)
    assert (
        "Hugging Face's names (vit), Vision Transformer of width 8" in printed
    )
    assert re.search(r'^left over +1: classifier.weight$', printed, re.M)
    converted = torch.load(output, weights_only=True)
    assert converted.keys() == state.keys()
    _same(converted, state)
    record = json.loads(output.with_name('out.pth.json').read_text())
    assert record['layout'] == 'hugging_face' and record['stages'] is None
    assert record['architecture'] == (
        'Vision Transformer of width 8, 2 blocks, patch size 4'
    )
    # A block that lacks what another has, and a block that isn't there.
    for lost in ('blocks.1.mlp.fc1.weight', 'blocks.1.'):
        tensors = {n: t for n, t in _vit(3).items() if not n.startswith(lost)}
        torch.save({'teacher': tensors}, source)
        with pytest.raises(SystemExit, match=r'hub.pth: .*lacks .*blocks\.1'):
            call('convert', source, tmp_path / 'other.pth')


def test_an_incomplete_network_is_refused(call, tmp_path):
    state = _backbone(18)
    del state['layer1.1.bn2.running_var']
    state['layer1.0.bn2.bias'] = torch.ones(3)
    torch.save(state, tmp_path / 'a.pth')
    said = r'lacks 2 of the \d+ tensors of a ResNet-18 .*layer1.0.bn2.bias is '
    with pytest.raises(SystemExit, match=said):
        call('convert', tmp_path / 'a.pth', tmp_path / 'out.pth')
    assert not (tmp_path / 'out.pth').exists()


def test_a_prefix_chooses_one_of_two(call, tmp_path):
    state = _backbone(18)
    other = {name: value * 0 for name, value in state.items()}
    torch.save({'model': other, 'ema': state}, tmp_path / 'a.pth')
    paths = tmp_path / 'a.pth', tmp_path / 'out.pth'
    with pytest.raises(SystemExit, match="--prefix .*'model' or 'ema'"):
        call('convert', *paths)
    printed = call('convert', *paths, '--prefix=ema')
    assert 'no known layout (ema), ResNet-18' in printed
    _same(torch.load(paths[1], weights_only=True), state)


@pytest.mark.parametrize(
    'content, options, message',
    [
        ({'w': torch.ones(2)}, [], 'no ResNet or Vision Transformer in any'),
        ({'w': torch.ones(2)}, ['--from', 'crw'], 'layout of CRW'),
        ({'x': re.compile('a')}, [], 'refused, because'),
    ],
)
def test_refusals_name_the_file(call, tmp_path, content, options, message):
    source, output = tmp_path / 'bad.pth', tmp_path / 'out.pth'
    torch.save(content, source)
    with pytest.raises(SystemExit, match=f'bad.pth: .*{message}'):
        call('convert', source, output, *options)
    assert not output.exists()


@pytest.mark.parametrize('tool', ['convert', 'publish_model'])
def test_one_file_for_both(call, tmp_path, tool):
    path = tmp_path / 'a.pth'
    torch.save(_backbone(18), path)
    before = path.read_bytes()
    (tmp_path / 'link.pth').symlink_to(path)
    for output in (path, tmp_path / 'link.pth'):
        with pytest.raises(SystemExit, match=r'pth is .*a\.pth, which'):
            call(tool, path, output, '--force')
    assert path.read_bytes() == before


@pytest.mark.parametrize('tool', ['convert', 'publish_model'])
def test_what_is_there_already(call, trained, tmp_path, tool, file_limit):
    path = tmp_path / 'new/hvc.pth'
    call(tool, trained[0], path)
    first = path.read_bytes()
    call(tool, trained[0], path)
    assert path.read_bytes() == first
    with file_limit(10000), pytest.raises(SystemExit, match=r'new/hvc\.pth'):
        call(tool, trained[0], path)
    assert path.read_bytes() == first
    assert not list(tmp_path.rglob('*.partial*'))
    path.write_bytes(b'of the user')
    with pytest.raises(SystemExit, match=r'hvc\.pth exists already.*--force'):
        call(tool, trained[0], path)
    assert path.read_bytes() == b'of the user'
    call(tool, trained[0], path, '--force')
    assert path.read_bytes() == first


def test_real_half_precision_weights_of_three_stages(
    run_tool, shared_dir, tmp_path
):
    name = 'resnet50_imagenet_caffe_style_rgb_layer1-3_fp16.pth'
    source, output = shared_dir / 'data/weights' / name, tmp_path / 'o.pth'
    done = run_tool('model_converters/convert.py', source, output)
    assert done.returncode == 0, done.stdout
    assert 'ResNet-50, 3 of 4 stages' in done.stdout
    assert 'left over  0' in done.stdout and 'missing    0' in done.stdout
    network = HVCResNet(50, out_indices=(2,), style='caffe')
    network.load_state_dict(torch.load(output, weights_only=True))


class _Pretraining(BaseModel):
    """A backbone and a head, trained by mmengine."""

    def __init__(self):
        super().__init__()
        self.backbone = HVCResNet(18, out_indices=(0,))
        self.head = torch.nn.Linear(64, 1)

    def forward(self, inputs, data_samples=None, mode='loss'):
        features = self.backbone(inputs)[0].mean((2, 3))
        return {'loss': self.head(features).mean()}


class _Noise(torch.utils.data.Dataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        return {'inputs': torch.rand(3, 32, 32)}


# What mmengine's schedulers have to be told.
ARGUMENTS = {
    'CosineAnnealing': dict(T_max=2),
    'CosineRestart': dict(periods=[1, 1], restart_weights=[1, 1], eta_min=0),
    'Exponential': dict(gamma=0.9),
    'MultiStep': dict(milestones=[1]),
    'OneCycle': dict(eta_max=0.1, total_steps=4),
    'ReduceOnPlateau': dict(monitor='loss', by_epoch=True),
    'Step': dict(step_size=1),
}


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A checkpoint of a run with each of mmengine's schedulers."""
    schedulers = []
    for name in sorted(PARAM_SCHEDULERS.module_dict):
        kind = re.sub('(LR|Momentum)$', '', name)
        if kind != name:
            arguments = ARGUMENTS.get(kind, {})
            schedulers.append({'type': name, 'by_epoch': False, **arguments})
    assert len(schedulers) >= 19
    folder = tmp_path_factory.mktemp('run')
    scope = DefaultScope.get_current_instance()
    runner = Runner(
        model=_Pretraining(),
        work_dir=str(folder),
        train_dataloader=DataLoader(_Noise(), batch_size=1),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9)),
        param_scheduler=schedulers,
        default_scope=scope.scope_name if scope else 'mmengine',
        experiment_name=f'publish-{folder.name}',
    )
    runner.train()
    return folder / 'epoch_1.pth', runner.model.backbone.state_dict()


def _same(found, expected):
    assert list(found) == list(expected)
    assert all(torch.equal(found[k], v) for k, v in expected.items())


def test_backbone_of_a_training_run(call, trained, tmp_path):
    checkpoint, state = trained
    output = tmp_path / 'hvc.pth'
    printed = call('publish_model', checkpoint, output)
    assert f'backbone (ResNet-18), {len(state)} tensors; 2 others' in printed
    _same(torch.load(output, weights_only=True), state)
    record = json.loads((tmp_path / 'hvc.pth.json').read_text())
    assert record['sha256'] == sha256_of(checkpoint)
    assert (record['epoch'], record['iter']) == (1, 2)
    assert record['experiment_name'].startswith('publish-')
    assert 'cfg' not in record


def test_every_tool_reads_it(call, trained, tmp_path):
    checkpoint, state = trained
    call('convert', checkpoint, tmp_path / 'plain.pth')
    _same(torch.load(tmp_path / 'plain.pth', weights_only=True), state)
    backbone = dict(type='HVCResNet', depth=18, out_indices=(0,))
    cfg = dict(
        default_scope='hvc_mm',
        model=dict(type='LabelPropagationVOS', backbone=backbone),
    )
    # As the demos, the inferencer and init_cfg load it.
    _same(init_model(cfg, checkpoint, 'cpu').backbone.state_dict(), state)
    network = HVCResNet(18, out_indices=(0,))
    PretrainedBackbone(str(checkpoint))(network)
    _same(network.state_dict(), state)


def test_hash_in_the_name(call, trained, tmp_path):
    path = tmp_path / 'hvc.pth'
    printed = call('publish_model', trained[0], path, '--hash-name')
    (output,) = tmp_path.glob('hvc-*.pth')
    assert output.stem[len('hvc-') :] == sha256_of(output)[:8]
    assert output.with_name(f'{output.name}.json').exists()
    assert not path.exists()
    assert str(output) in printed


def test_publishing_another_architecture_keeps_its_names(call, tmp_path):
    network = torch.nn.Sequential(torch.nn.Linear(2, 3))
    content = _under('backbone.', network.state_dict(), 'head.weight')
    torch.save({'state_dict': content, 'meta': {}}, tmp_path / 'a.pth')
    printed = call('publish_model', tmp_path / 'a.pth', tmp_path / 'b.pth')
    assert 'backbone (not a ResNet), 2 tensors; 1 others' in printed
    published = torch.load(tmp_path / 'b.pth', weights_only=True)
    assert set(published) == {'0.weight', '0.bias'}


@pytest.mark.parametrize('missing', ['layer1.1.conv2.weight', None])
def test_what_cannot_be_published(call, tmp_path, missing):
    state = _backbone(18)
    state.pop(missing, None)
    prefix = 'backbone.' if missing else 'net.'
    torch.save(_under(prefix, state), tmp_path / 'cut.pth')
    said = '.*lacks 1 .*layer1.1' if missing else 'no tensor under'
    with pytest.raises(SystemExit, match=f'cut.pth: {said}'):
        call('publish_model', tmp_path / 'cut.pth', tmp_path / 'out.pth')
    assert not (tmp_path / 'out.pth').exists()
