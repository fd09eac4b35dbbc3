"""Vision Transformers from files: features as the projects' own networks'.

The networks of timm, transformers and OpenMMLab, and timm's own converters,
are the oracles.
"""

import pytest
import torch
from mmengine.runner import load_checkpoint

from hvc_mm.apis import init_model
from hvc_mm.checkpoint import CheckpointError, find_network, load_backbone
from hvc_mm.checkpoint.vision_transformers import resample_positions
from hvc_mm.models import LabelPropagationVOS

C, BLOCKS, HEADS, PATCH, SIZE = 16, 2, 2, 4, 24


def _random(network, seed=0):
    """Values that show whether one went to the wrong place."""
    torch.manual_seed(seed)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    network.eval()  # OpenMMLab's returns nothing
    return network


def _timm(**options):
    timm = pytest.importorskip('timm')
    settings = dict(
        img_size=SIZE,
        patch_size=PATCH,
        embed_dim=C,
        depth=BLOCKS,
        num_heads=HEADS,
        num_classes=0,
        global_pool='',
    )
    settings.update(options)
    return _random(timm.models.VisionTransformer(**settings), seed=9)


def _timm_dinov3(**options):
    timm = pytest.importorskip('timm')
    return _random(
        timm.create_model(
            'vit_small_patch16_dinov3_qkvb',
            patch_size=PATCH,
            img_size=SIZE,
            embed_dim=C,
            depth=BLOCKS,
            num_heads=HEADS,
            num_classes=0,
            global_pool='',
            **options,
        ),
        seed=9,
    )


def _transformers(name, **options):
    transformers = pytest.importorskip('transformers')
    if not hasattr(transformers, f'{name}Model'):
        pytest.skip(f'transformers is too old for {name}')
    config = getattr(transformers, f'{name}Config')(
        image_size=SIZE,
        patch_size=PATCH,
        hidden_size=C,
        num_hidden_layers=BLOCKS,
        num_attention_heads=HEADS,
        intermediate_size=4 * C,
        layer_norm_eps=1e-6,
        attn_implementation='eager',
        **options,
    )
    return _random(getattr(transformers, f'{name}Model')(config))


# Of transformers, and timm's of the same kind.
KINDS = {
    'ViT': ('ViT', {}, _timm, {}),
    'Dinov2': ('Dinov2', {}, _timm, dict(init_values=1.0)),
    'Dinov2 with gate': (
        'Dinov2',
        dict(use_swiglu_ffn=True),
        _timm,
        dict(init_values=1.0, gated=True),
    ),
    'Dinov2WithRegisters': (
        'Dinov2WithRegisters',
        dict(num_register_tokens=4),
        _timm,
        dict(init_values=1.0, reg_tokens=4, no_embed_class=True),
    ),
    'DINOv3ViT': (
        'DINOv3ViT',
        dict(num_register_tokens=4),
        _timm_dinov3,
        {},
    ),
    'DINOv3ViT with gate': (
        'DINOv3ViT',
        dict(num_register_tokens=4, use_gated_mlp=True, hidden_act='silu'),
        _timm_dinov3,
        dict(swiglu_mlp=True, mlp_ratio=4),
    ),
}


def _pair(kind):
    name, options, make, timm_options = KINDS[kind]
    ours = _transformers(name, **options)
    timm_options = dict(timm_options)
    if timm_options.pop('gated', False):
        from timm.layers import SwiGLUPacked

        hidden = ours.state_dict()
        width = 2 * next(
            t.shape[1]
            for n, t in hidden.items()
            if 'down_proj.weight' in n or 'weights_out.weight' in n
        )
        timm_options.update(
            mlp_layer=SwiGLUPacked,
            mlp_ratio=width / C,
            act_layer=torch.nn.SiLU,
        )
    return ours, make(**timm_options)


def _features(network, image):
    """Patch tokens after the final norm, ``(1, h w, C)``."""
    with torch.no_grad():
        if hasattr(network, 'forward_features'):
            tokens = network.forward_features(image)
        else:
            tokens = network(image).last_hidden_state
    return tokens[:, -((SIZE // PATCH) ** 2) :]


@pytest.mark.parametrize('kind', KINDS)
def test_features_of_transformers_and_timm_are_equal(kind, tmp_path):
    one, other = _pair(kind)
    image = torch.randn(1, 3, SIZE, SIZE)
    assert not torch.allclose(
        _features(one, image), _features(other, image), atol=0.1
    )
    path = str(tmp_path / 'a.pth')
    torch.save(one.state_dict(), path)
    load_backbone(other, path)
    expected = _features(one, image)
    torch.testing.assert_close(
        _features(other, image), expected, atol=1e-5, rtol=1e-5
    )
    # And back into a network that is at random.
    torch.save(other.state_dict(), path)
    _random(one, seed=5)
    load_backbone(one, path)
    torch.testing.assert_close(
        _features(one, image), expected, atol=1e-5, rtol=1e-5
    )


def _official(state, registers=''):
    """DINO's names of a network of timm; registers by another name."""
    names = {'reg_token': registers}
    return {names.get(name, name): t for name, t in state.items()}


def test_timms_own_converter_gives_the_same(tmp_path):
    source = _timm(init_values=1.0, reg_tokens=4).state_dict()
    # The file has a place for the class token, the network has none.
    content = _official(source, 'register_tokens')
    content['pos_embed'] = torch.randn(1, 1 + (SIZE // PATCH) ** 2, C)
    content['mask_token'] = torch.zeros(1, C)
    options = dict(init_values=1.0, reg_tokens=4, no_embed_class=True)
    theirs, ours = _timm(**options), _timm(**options)
    from timm.models.vision_transformer import checkpoint_filter_fn

    theirs.load_state_dict(checkpoint_filter_fn(dict(content), theirs))
    path = str(tmp_path / 'a.pth')
    torch.save({'teacher': content}, path)
    load_backbone(ours, path)
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], tensor), name


def test_timms_own_converter_of_dinov3_gives_the_same(tmp_path):
    eva = pytest.importorskip('timm.models.eva')

    theirs, ours = _timm_dinov3(), _timm_dinov3()
    content = {}
    for name, tensor in _random(_timm_dinov3(), seed=2).state_dict().items():
        name = name.replace('gamma_1', 'ls1.gamma')
        name = name.replace('gamma_2', 'ls2.gamma')
        content[name.replace('reg_token', 'storage_tokens')] = tensor
    for i in range(BLOCKS):
        q, v = (content.pop(f'blocks.{i}.attn.{x}_bias') for x in 'qv')
        bias = torch.cat([q, torch.full_like(q, 7.0), v])  # a mask hides 7
        mask = torch.cat([q * 0 + 1, q * 0, q * 0 + 1])
        content[f'blocks.{i}.attn.qkv.bias'] = bias
        content[f'blocks.{i}.attn.qkv.bias_mask'] = mask
    content.update(mask_token=torch.zeros(1, C))
    content['rope_embed.periods'] = torch.ones(4)
    theirs.load_state_dict(eva.checkpoint_filter_fn(dict(content), theirs))
    path = str(tmp_path / 'a.pth')
    torch.save(content, path)
    load_backbone(ours, path)
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], tensor), name


@pytest.mark.mmdet
def test_features_of_openmmlab_and_timm_are_equal(tmp_path):
    mmcls = pytest.importorskip('mmcls.models')
    settings = dict(embed_dims=C, num_layers=BLOCKS, num_heads=HEADS)
    network = _random(
        mmcls.VisionTransformer(
            arch=dict(settings, feedforward_channels=4 * C),
            img_size=SIZE,
            patch_size=PATCH,
            output_cls_token=False,
        )
    )
    other = _timm()
    path = str(tmp_path / 'a.pth')
    state = {f'backbone.{n}': t for n, t in network.state_dict().items()}
    torch.save({'state_dict': state, 'meta': {}}, path)
    load_backbone(other, path)
    image = torch.randn(1, 3, SIZE, SIZE)
    with torch.no_grad():
        expected = network(image)[0].flatten(2).transpose(1, 2)
    torch.testing.assert_close(
        _features(other, image), expected, atol=1e-5, rtol=1e-5
    )
    torch.save(_random(_timm(), seed=4).state_dict(), path)
    load_backbone(other, path)
    load_backbone(network, path)
    with torch.no_grad():
        features = network(image)[0].flatten(2).transpose(1, 2)
    torch.testing.assert_close(
        features, _features(other, image), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize(
    'size, new_size', [((4, 4), (6, 6)), ((5, 3), (2, 7))]
)
def test_positions_are_resampled_as_by_timm(size, new_size):
    timm_layers = pytest.importorskip('timm.layers')

    positions = torch.randn(1, size[0] * size[1], C)
    torch.testing.assert_close(
        resample_positions(positions, size, new_size),
        timm_layers.resample_abs_pos_embed(
            positions, new_size, old_size=size, num_prefix_tokens=0
        ),
    )


@pytest.mark.parametrize('has_place', [True, False])
def test_another_grid_is_resampled_and_logged(has_place, tmp_path, logged):
    timm_vits = pytest.importorskip('timm.models.vision_transformer')
    small = _timm(img_size=SIZE, no_embed_class=not has_place)
    theirs = _timm(img_size=40, no_embed_class=not has_place)
    ours = _timm(img_size=40, no_embed_class=not has_place)
    path = str(tmp_path / 'a.pth')
    torch.save(small.state_dict(), path)
    load_backbone(ours, path)
    filtered = timm_vits.checkpoint_filter_fn(small.state_dict(), theirs)
    theirs.load_state_dict(filtered)
    torch.testing.assert_close(ours.pos_embed, theirs.pos_embed)
    assert torch.equal(ours.cls_token, small.cls_token)
    said = 'position embeddings resampled from 6x6 to 10x10 cells'
    assert any(line.endswith(said) for line in logged)


def _small(**changed):
    """A network's tensors by DINO's names, all ones."""
    c = changed.pop('c', C)
    state = {
        'cls_token': (1, 1, c),
        'pos_embed': (1, 10, c),
        'patch_embed.proj.weight': (c, 3, 4, 4),
        'norm.weight': (c,),
    }
    for i in range(changed.pop('blocks', BLOCKS)):
        state[f'blocks.{i}.attn.qkv.weight'] = (3 * c, c)
        state[f'blocks.{i}.mlp.fc1.weight'] = (4 * c, c)
    state.update(changed)
    return {n: torch.ones(s) for n, s in state.items() if s is not None}


@pytest.mark.parametrize(
    'content, said',
    [
        (
            _small(c=32),
            'holds a Vision Transformer of width 32, 2 blocks, patch size 4; '
            'expected width 16, 2 blocks, patch size 4 (found under '
            "'teacher.backbone', read as DINO or iBOT)",
        ),
        (_small(blocks=1), 'width 16, 1 blocks, patch size 4; expected width'),
        (
            _small(**{'patch_embed.proj.weight': (C, 3, 8, 8)}),
            'patch size 8; expected width 16, 2 blocks, patch size 4',
        ),
        (
            _small(**{'blocks.1.ls1.gamma': (C,), 'reg_token': (1, 4, C)}),
            'of another kind: the network has no blocks.1.ls1.gamma, '
            'reg_token',
        ),
        (_small(pos_embed=None), 'lacks 1 of the 8 .*DINO or iBOT.*pos_embed'),
        (
            _small(**{'blocks.0.mlp.fc1.weight': (5, C)}),
            'blocks.0.mlp.fc1.weight is (5, 16), expected (64, 16)',
        ),
        (
            _small(pos_embed=(1, 13, C)),
            'position embeddings (1, 13, 16); expected of 3x3 cells',
        ),
    ],
)
def test_what_differs_is_said(content, said):
    file = {'teacher': {f'backbone.{n}': t for n, t in content.items()}}
    with pytest.raises(CheckpointError) as error:
        find_network(file, _small())
    message = str(error.value)
    assert said in message or all(s in message for s in said.split('.*'))
    assert '\n' not in message


def test_deeper_files_and_biases_of_zero_fit():
    bias = {f'blocks.{i}.attn.qkv.bias': (3 * C,) for i in range(4)}
    content = _small(blocks=4, **bias)
    with pytest.raises(CheckpointError, match='has no blocks.0.attn.qkv.bias'):
        find_network(content, _small())
    for name in bias:
        content[name] *= 0
    found = find_network(content, _small()).tensors
    assert found.keys() == _small().keys()
    # And a network that has them.
    wanted = _small(**{n: s for n, s in bias.items() if n[7] in '01'})
    found = find_network(_small(), wanted).tensors
    assert found.keys() == wanted.keys()
    assert not found['blocks.1.attn.qkv.bias'].any()


def test_numpy_arrays_and_odd_values_are_named():
    name = 'blocks.0.attn.qkv.weight'
    arrays = {n: t.numpy() for n, t in _small().items()}
    with pytest.raises(CheckpointError, match='numpy arrays.*cls_token'):
        find_network(arrays, _small())
    content = _small()
    content[name][0, 0] = float('nan')
    with pytest.raises(CheckpointError, match=f'NaN.*{name}'):
        find_network(content, _small())


def test_another_kind_of_network_is_named():
    resnet = {'conv1.weight': torch.ones(1)}
    resnet['layer1.0.conv1.weight'] = torch.ones(1)
    for content, wanted, said in (
        (resnet, _small(), 'none of the tensors.*holds a ResNet'),
        (
            {'teacher': _small(), 'student': _small()},
            resnet,
            'none of the tensors.*; it holds a Vision Transformer of width 16,'
            ' 2 blocks, patch size 4. Found',
        ),
    ):
        with pytest.raises(CheckpointError, match=said):
            find_network(content, wanted)


@pytest.mark.mmdet
def test_every_door_takes_dinos_file(tmp_path):
    mmcls = pytest.importorskip('mmcls.models')
    cfg = dict(
        type='mmcls.VisionTransformer',
        arch=dict(
            embed_dims=C,
            num_layers=BLOCKS,
            num_heads=HEADS,
            feedforward_channels=4 * C,
        ),
        img_size=SIZE,
        patch_size=PATCH,
        output_cls_token=False,
    )
    pytest.importorskip('timm')
    state = _random(_timm(), seed=3).state_dict()
    teacher = {f'backbone.{name}': tensor for name, tensor in state.items()}
    student = {f'module.{name}': t * 0 for name, t in teacher.items()}
    path = str(tmp_path / 'dino.pth')
    torch.save({'student': student, 'teacher': teacher, 'epoch': 1}, path)
    expected = mmcls.VisionTransformer(
        **{k: v for k, v in cfg.items() if k != 'type'}
    )
    load_backbone(expected, path)
    init_cfg = dict(type='hvc_mm.PretrainedBackbone', checkpoint=path)
    model = dict(type='LabelPropagationVOS', backbone=cfg)
    by_mmengine = LabelPropagationVOS(cfg)
    load_checkpoint(by_mmengine, path)
    by_config = LabelPropagationVOS(dict(cfg, init_cfg=init_cfg))
    by_config.init_weights()
    for loaded in (
        by_mmengine,
        by_config,
        init_model(dict(model=model), path, 'cpu'),
    ):
        found = loaded.backbone.state_dict()
        for name, tensor in expected.state_dict().items():
            assert torch.equal(found[name], tensor), name
