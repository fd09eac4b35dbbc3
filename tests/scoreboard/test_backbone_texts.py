"""Backbones are named on the command line, or in files."""

import json

import pytest

from hvc_mm.scoreboard.backbone_texts import BackboneError, parse_backbones


def parse(text):
    ((name, entry),) = parse_backbones([text]).items()
    return name, entry


def test_a_file_of_weights(pretrained):
    assert parse(f'hvc={pretrained}') == ('hvc', dict(weights=pretrained))
    # Without a name it is the file's.
    assert parse(pretrained)[0] == 'epoch_20'
    assert parse(
        f'r50={pretrained}:stage=2,style=caffe,layout=torchvision,'
        'data_preprocessor.mean=(1, 2, 3),data_preprocessor.bgr_to_rgb=False'
    )[1] == dict(
        weights=pretrained,
        stage=2,
        layout='torchvision',
        style='caffe',
        data_preprocessor=dict(mean=(1, 2, 3), bgr_to_rgb=False),
    )


def test_a_class_of_a_registry(pretrained):
    assert parse('mmdet.ResNet:depth=50,out_indices=(0,1),map=1') == (
        'mmdet.ResNet',
        dict(type='mmdet.ResNet', depth=50, out_indices=(0, 1), map=1),
    )
    assert parse(f'x=ResNet:weights={pretrained},map=(0,2)') == (
        'x',
        dict(type='ResNet', weights=pretrained, map=(0, 2)),
    )
    assert parse('HVCResNet') == ('HVCResNet', dict(type='HVCResNet'))
    values = 'N:a.b.c=1,a.d=[1,(2,3)],n=None,z=-1,e=1e-3,s="a b"'
    nested = dict(b=dict(c=1), d=[1, (2, 3)])
    plain = dict(n=None, z=-1, e=0.001, s='a b')
    assert parse(values)[1] == dict(type='N', a=nested, **plain)


@pytest.mark.parametrize('mark', [',', ':'])
def test_a_model_of_another_library(mark):
    text = f'dino=timm:vit_small_patch16_224{mark}weights=d.pth,facet=key'
    vit = dict(type='TimmBackbone', model_name='vit_small_patch16_224')
    found = dict(vit, weights='d.pth', facet='key')
    assert parse(text) == ('dino', found)
    text = f'transformers:some/where/dinov2-small/{mark}out_indices=(2,-1)'
    assert parse(text) == (
        'dinov2-small',
        dict(
            type='TransformersBackbone',
            model='some/where/dinov2-small/',
            out_indices=(2, -1),
        ),
    )
    text = 'timm:vit_small_patch14_dinov2.lvd142m'
    assert parse(text)[0] == 'vit_small_patch14_dinov2-lvd142m'


def test_paths_that_look_like_options(tmp_path):
    path = tmp_path / 'lr=0.1:epoch=3.pth'
    path.write_bytes(b'')
    assert parse(str(path)) == ('lr-0-1-epoch-3', dict(weights=str(path)))
    assert parse(f'a={path}') == ('a', dict(weights=str(path)))


@pytest.mark.parametrize('suffix', ['.yaml', '.json', '.py'])
def test_a_file_of_backbones(tmp_path, pretrained, suffix):
    path = tmp_path / f'backbones{suffix}'
    own = dict(type='mmdet.ResNet', depth=50, weights=pretrained, map=[0, 1])
    content = {'hvc': f'{pretrained}:stage=4', 'mm': own}
    if suffix == '.py':
        path.write_text(f'backbones = {content!r}\n')
    else:
        path.write_text(json.dumps({'backbones': content}))
    found = parse_backbones([str(path), 'r=HVCResNet:depth=18'])
    assert list(found) == ['hvc', 'mm', 'r']
    assert found['hvc'] == dict(weights=pretrained, stage=4)
    assert found['mm'] == own


@pytest.mark.parametrize(
    'text, message',
    [
        ('hvc=no/such.pth', 'backbone hvc: there is no file no/such.pth'),
        ('no_such.pth', 'there is no file no_such.pth'),
        ('ResNet:depth', 'there is no file ResNet:depth'),
        ('ResNet:depth=1,x', 'option depth=1,x: expected KEY=VALUE'),
        ('a=ResNet:stage=two', "backbone a: stage is 'two'"),
        ('a=ResNet:map=last', "backbone a: map is 'last'"),
        ('no_such.yaml', 'there is no file of backbones no_such.yaml'),
    ],
)
def test_what_cannot_be_read(text, message):
    with pytest.raises(BackboneError, match=message):
        parse_backbones([text])


@pytest.mark.parametrize(
    'content, message',
    [
        ('backbones: [1, 2]', 'a mapping of names to backbones, found list'),
        ('other: 1', 'a mapping of names to backbones, found NoneType'),
        ('[1]', 'backbones.yaml: expected keys and values, found list'),
        ('backbones: {a: {depth: 3}}', 'a: has neither a type nor weights'),
        ('backbones: {a: 3}', 'backbone a: expected a text or a mapping'),
        ('backbones: {a/b: ResNet}', "backbone 'a/b': expected a name"),
        ('{', 'backbones.yaml, line 1: cannot be read'),
        ('!!python/object/apply:os.getcwd []', 'cannot be read: Constructor'),
        ('backbones: {r: ResNet}', 'several backbones are called r'),
    ],
)
def test_files_of_another_form(tmp_path, content, message):
    path = tmp_path / 'backbones.yaml'
    path.write_text(content)
    with pytest.raises(BackboneError, match=message):
        parse_backbones(['r=HVCResNet', str(path)])
