"""Backbones named on the command line or in small files."""

import json

import pytest

from hvc_mm.scoreboard.backbone_spec import (
    BackboneError,
    parse_backbone,
    parse_backbones,
    parse_options,
)


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / 'epoch_20.pth'
    path.write_bytes(b'')
    return str(path)


def test_a_file_of_weights(weights):
    spec = parse_backbone(f'hvc={weights}')
    assert (spec.name, spec.weights, spec.arguments) == ('hvc', weights, {})
    assert (spec.stage, spec.map, spec.layout) == (None, None, 'auto')
    # Without a name it is the file's.
    assert parse_backbone(weights).name == 'epoch_20'


def test_a_file_with_options(weights):
    spec = parse_backbone(
        f'r50={weights}:stage=2,style=caffe,layout=torchvision,'
        'data_preprocessor.mean=(1, 2, 3),data_preprocessor.bgr_to_rgb=False'
    )
    assert spec.stage == 2
    assert spec.layout == 'torchvision'
    assert spec.arguments == dict(style='caffe')
    assert spec.data_preprocessor == dict(mean=(1, 2, 3), bgr_to_rgb=False)


def test_a_class_of_a_registry(weights):
    spec = parse_backbone('mmdet.ResNet:depth=50,out_indices=(0,1),map=1')
    assert spec.name == 'mmdet.ResNet'
    assert spec.arguments == dict(
        type='mmdet.ResNet', depth=50, out_indices=(0, 1)
    )
    assert spec.map == 1
    spec = parse_backbone(f'x=ResNet:weights={weights},map=(0,2)')
    assert (spec.name, spec.weights, spec.map) == ('x', weights, (0, 2))
    assert parse_backbone('HVCResNet').arguments == dict(type='HVCResNet')


def test_paths_with_the_marks_of_the_grammar(tmp_path):
    path = tmp_path / 'lr=0.1:epoch=3.pth'
    path.write_bytes(b'')
    spec = parse_backbone(str(path))
    assert (spec.name, spec.weights) == ('lr-0-1-epoch-3', str(path))
    assert parse_backbone(f'a={path}').weights == str(path)


def test_values_are_pythons_or_text():
    assert parse_options('a=1,b=[1, (2, 3)],c=None,d=x y,e=1e-3') == dict(
        a=1, b=[1, (2, 3)], c=None, d='x y', e=1e-3
    )
    assert parse_options('a.b.c=1,a.d={"e": 2}') == dict(
        a=dict(b=dict(c=1), d=dict(e=2))
    )


@pytest.mark.parametrize('suffix', ['.yaml', '.json', '.py'])
def test_a_file_of_specs(tmp_path, weights, suffix):
    path = tmp_path / f'specs{suffix}'
    content = {
        'hvc': f'{weights}:stage=4',
        'mm': {
            'type': 'mmdet.ResNet',
            'depth': 50,
            'weights': weights,
            'map': [0, 1],
        },
    }
    if suffix == '.py':
        path.write_text(f'backbones = {content!r}\n')
    else:
        path.write_text(json.dumps({'backbones': content}))
    hvc, mm, other = parse_backbones([str(path), 'r=HVCResNet:depth=18'])
    assert (hvc.name, hvc.weights, hvc.stage) == ('hvc', weights, 4)
    assert mm.arguments == dict(type='mmdet.ResNet', depth=50)
    assert type(mm.arguments) is dict
    assert (mm.weights, list(mm.map)) == (weights, [0, 1])
    assert other.name == 'r'


@pytest.mark.parametrize(
    'text, message',
    [
        ('hvc=no/such.pth', 'backbone hvc: there is no file no/such.pth'),
        ('no_such.pth', 'there is no file no_such.pth'),
        ('ResNet:depth', 'there is no file ResNet:depth'),
        ('ResNet:depth=1,x', "option 'x': expected KEY=VALUE"),
        ('a=ResNet:stage=two', "backbone a: stage is 'two'"),
        ('a=ResNet:map=last', "backbone a: map is 'last'"),
        ('no_such.yaml', 'there is no file of backbones no_such.yaml'),
    ],
)
def test_what_cannot_be_read(text, message):
    with pytest.raises(BackboneError, match=message):
        parse_backbones([text])


def test_names(weights):
    with pytest.raises(BackboneError, match='several .* called epoch_20'):
        parse_backbones([weights, f'{weights}:stage=2'])


@pytest.mark.parametrize(
    'content, message',
    [
        ('backbones: [1, 2]', 'a mapping of names to specs, found list'),
        ('other: 1', 'a mapping of names to specs, found NoneType'),
        ('backbones: {a: {depth: 3}}', 'a: has neither a type nor weights'),
        ('backbones: {a: 3}', 'backbone a: expected a text or a mapping'),
        ('backbones: {a/b: ResNet}', "backbone 'a/b': expected a name"),
        ('{', 'cannot read'),
    ],
)
def test_files_of_another_form(tmp_path, content, message):
    path = tmp_path / 'specs.yaml'
    path.write_text(content)
    with pytest.raises(BackboneError, match=message):
        parse_backbones([str(path)])
