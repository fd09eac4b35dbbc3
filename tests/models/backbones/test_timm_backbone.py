"""Networks of timm by their real names, at random weights and few blocks."""

import copy

import pytest
import torch

from hvc_mm.checkpoint import CheckpointError, PretrainedBackbone
from hvc_mm.models import LabelPropagationVOS, TimmBackbone
from hvc_mm.models.backbones import unit_features
from hvc_mm.registry import MODELS
from hvc_mm.structures import VOSDataSample

timm = pytest.importorskip('timm')

VITS = {
    'vit_small_patch16_224': 16,
    'vit_small_patch14_dinov2': 14,
    'vit_small_patch14_reg4_dinov2': 14,
    'vit_small_patch16_dinov3': 16,
}
PYRAMIDS = ('swin_tiny_patch4_window7_224', 'convnext_tiny')
HEADS = 6  # of all the small ones


def build(name, **kwargs):
    torch.manual_seed(0)
    if name in VITS:
        kwargs = dict(depth=2, **kwargs)
    backbone = TimmBackbone(name, **kwargs).eval()
    for key, parameter in backbone.named_parameters():
        # timm starts these so small that they would not be seen.
        if name in VITS and ('gamma' in key or 'pos_embed' in key):
            torch.nn.init.normal_(parameter, std=0.5)
    return backbone


def image_for(patch, rows=5, columns=7):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(
        2, 3, rows * patch, columns * patch, generator=generator
    )


def embed(network, image):
    """Tokens before the first block, and the blocks' further arguments."""
    tokens = network._pos_embed(network.patch_embed(image))
    tokens, rope = tokens if isinstance(tokens, tuple) else (tokens, None)
    return network.norm_pre(tokens), {} if rope is None else {'rope': rope}


def as_map(tokens, rows=5, columns=7):
    tokens = tokens[:, -rows * columns :]
    return tokens.reshape(2, rows, columns, -1).permute(0, 3, 1, 2)


@pytest.mark.parametrize('name', VITS)
@torch.no_grad()
def test_maps_are_those_of_the_network(name):
    backbone, image = build(name, out_indices=(-1, 0)), image_for(VITS[name])
    network = timm.create_model(name, depth=2, dynamic_img_size=True).eval()
    plain = backbone.primary.state_dict()
    left = network.load_state_dict(plain, strict=False)
    # The head is not built; all else has timm's own names.
    assert not left.unexpected_keys
    assert {key.split('.')[0] for key in left.missing_keys} <= {'head'}
    last, first = backbone(image)
    assert torch.equal(last, as_map(network.forward_features(image)))
    tokens, options = embed(network, image)
    tokens = network.blocks[0](tokens, **options)
    assert torch.equal(first, as_map(network.norm(tokens)))
    (raw,) = build(name, out_indices=0, norm=False)(image)
    assert torch.equal(raw, as_map(tokens))


@pytest.mark.parametrize('name', VITS)
@torch.no_grad()
def test_facets_are_those_of_the_attention(name):
    image = image_for(VITS[name])
    for facet in ('query', 'key', 'value'):
        backbone = build(name, facet=facet, out_indices=(1, 0))
        network = backbone.primary
        tokens, options = embed(network, image)
        wanted = []
        for block in network.blocks:
            qkv = block.attn.qkv(block.norm1(tokens))
            qkv = qkv.reshape(2, -1, 3, HEADS, 384 // HEADS)
            part = dict(zip(('query', 'key', 'value'), qkv.unbind(2)))[facet]
            wanted.append(as_map(part.flatten(2)))
            tokens = block(tokens, **options)
        for one, other in zip(backbone(image), reversed(wanted)):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_facets_with_a_bias_of_their_own():
    backbone = build('vit_tiny_patch16_dinov3_qkvb', facet='key', depth=1)
    attention, image = backbone.body.blocks[0].attn, image_for(16)
    attention.v_bias += 1
    (key,) = backbone(image)
    backbone.facet = 'value'
    (value,) = backbone(image)
    tokens, _ = embed(backbone.body, image)
    tokens = backbone.body.blocks[0].norm1(tokens)
    _, wanted_key, wanted_value = attention.qkv(tokens).chunk(3, dim=-1)
    torch.testing.assert_close(key, as_map(wanted_key))
    torch.testing.assert_close(value, as_map(wanted_value + 1))


@pytest.mark.parametrize('facet', ['token', 'key'])
@pytest.mark.parametrize('name', [*VITS, *PYRAMIDS])
@torch.no_grad()
def test_the_map_shows_where_a_patch_is_bright(name, facet):
    if name in PYRAMIDS and facet != 'token':
        pytest.skip('no facets')
    # Stage 2 of a pyramid has stride 16, too.
    index = 2 if name in PYRAMIDS else -1
    backbone = build(name, facet=facet, out_indices=index)
    patch = VITS.get(name, 16)
    dark = torch.zeros(1, 3, 8 * patch, 12 * patch)
    for row, column in ((1, 9), (6, 2)):
        bright = dark.clone()
        rows = slice(row * patch, (row + 1) * patch)
        columns = slice(column * patch, (column + 1) * patch)
        bright[..., rows, columns] = 3
        (changed,), (still,) = backbone(bright), backbone(dark)
        difference = (changed - still).norm(dim=1)[0]
        assert difference.shape == (8, 12)
        assert divmod(int(difference.argmax()), 12) == (row, column)


@pytest.mark.parametrize('name', PYRAMIDS)
@torch.no_grad()
def test_pyramids_give_channels_first_at_any_size(name):
    backbone = build(name, out_indices=(0, 2, -1))
    image = torch.randn(1, 3, 96, 168)
    maps = backbone(image)
    assert [m.shape[1] for m in maps] == [96, 384, 768]
    columns = {'swin': 11, 'conv': 10}[name[:4]]  # of 10.5
    grids = [tuple(m.shape[2:]) for m in maps[:2]]
    assert grids == [(24, 42), (6, columns)]
    unit_features(maps, (0, 1, 2), (96, 168))
    network = timm.create_model(
        name, **({'strict_img_size': False} if 'swin' in name else {})
    ).eval()
    network.load_state_dict(backbone.primary.state_dict(), strict=False)
    wanted = network.forward_features(image)
    if 'swin' in name:
        wanted = wanted.permute(0, 3, 1, 2)
    torch.testing.assert_close(maps[2], wanted)


def test_what_comes_after_is_not_built():
    names = build('vit_small_patch16_224', out_indices=0).state_dict()
    assert 'body.blocks.0.mlp.fc2.bias' in names and 'body.norm.bias' in names
    assert not any('blocks.1' in name or 'head' in name for name in names)
    names = build('vit_small_patch16_224', norm=False).state_dict()
    assert 'body.norm.bias' not in names
    names = build('convnext_tiny', out_indices=1).state_dict()
    assert not any('stages.2' in name for name in names)


@pytest.mark.parametrize(
    'name',
    [
        'vit_small_patch16_224',
        'vit_small_patch14_reg4_dinov2',
        'vit_small_patch16_dinov3',
    ],
)
@torch.no_grad()
def test_a_finer_stride(name):
    patch = VITS[name]
    stride, image = patch // 2, image_for(patch)
    fine, plain = build(name, patch_stride=stride), build(name)
    maps = fine(image)
    assert maps[0].shape == (2, 384, 10, 14)
    unit_features(maps, None, tuple(image.shape[2:]))
    # A cell's patch is centred on it: every second one is the plain grid's
    # on the image without its first pixels.
    cut = stride - (patch - stride) // 2
    inner = image[..., cut:, cut:][..., : 4 * patch, : 6 * patch]
    finer = fine.body.patch_embed(image)[:, 1:8:2, 1:12:2]
    torch.testing.assert_close(
        finer, plain.body.patch_embed(inner), rtol=1e-5, atol=1e-5
    )
    whole = build(name, patch_stride=patch)
    torch.testing.assert_close(whole(image)[0], plain(image)[0])


@torch.no_grad()
def test_positions_of_a_finer_grid_are_those_of_its_places():
    name = 'vit_small_patch16_224'
    fine, plain = build(name, patch_stride=8), build(name)
    ramp = torch.linspace(0, 1, 14)
    for backbone in (fine, plain):
        grid = ramp[:, None].expand(14, 14).flatten()
        backbone.body.pos_embed[0, 1:] = grid[:, None]
    flat = torch.zeros(1, 3, 160, 160)
    for network in (fine.body, plain.body):
        network.patch_embed.proj.bias.zero_()
    rows = [
        embed(b.body, flat)[0][0, 1:, 0].reshape(n, n)[:, 0]
        for b, n in ((fine, 20), (plain, 10))
    ]
    # A pair of fine cells has its centre where a plain one is.
    pairs = rows[0].view(10, 2).mean(dim=1)
    torch.testing.assert_close(pairs[2:-2], rows[1][2:-2], atol=2e-3, rtol=0)


def test_copies_share_nothing_and_keep_the_mode():
    backbone = build('vit_small_patch16_dinov3', patch_stride=8, facet='key')
    clone, image = copy.deepcopy(backbone), image_for(16)
    assert not clone.training
    with torch.no_grad():
        before = backbone(image)[0]
        assert torch.equal(clone(image)[0], before)
        for parameter in clone.parameters():
            parameter.zero_()
        assert not torch.equal(clone(image)[0], before)
        assert torch.equal(backbone(image)[0], before)


def test_dropout_is_at_rest_in_eval_mode():
    backbone = build('vit_small_patch16_224', proj_drop_rate=0.5)
    image = image_for(16)
    with torch.no_grad():
        assert torch.equal(backbone(image)[0], backbone(image)[0])
        backbone.train()
        assert not torch.equal(backbone(image)[0], backbone(image)[0])


@pytest.mark.parametrize('how', ['weights', 'init_cfg'])
def test_takes_plain_files(tmp_path, how):
    path = str(tmp_path / 'plain.pth')
    network = timm.create_model('vit_small_patch16_224', depth=2)
    torch.save(network.state_dict(), path)
    cfg = dict(type='TimmBackbone', model_name='vit_small_patch16_224')
    cfg.update(depth=2, out_indices=0, _scope_='hvc_mm')
    if how == 'weights':
        cfg['weights'] = path
    else:
        cfg['init_cfg'] = dict(
            type='hvc_mm.PretrainedBackbone', checkpoint=path
        )
    backbone = MODELS.build(cfg)
    # mmengine would call timm's own init_weights here, which draws new ones.
    backbone.init_weights()
    for name, tensor in backbone.primary.state_dict().items():
        assert torch.equal(tensor, network.state_dict()[name])


def test_a_file_of_another_size(tmp_path):
    path = str(tmp_path / 'tiny.pth')
    network = timm.create_model('vit_tiny_patch16_224', depth=2)
    torch.save(network.state_dict(), path)
    with pytest.raises(
        CheckpointError, match='tiny.pth: .*width 192.*width 384'
    ):
        build('vit_small_patch16_224', weights=path)
    with pytest.raises(CheckpointError, match='2 blocks.*12 blocks'):
        PretrainedBackbone(path)(TimmBackbone('vit_tiny_patch16_224'))


@pytest.mark.parametrize(
    'name, options, message',
    [
        ('vit_smal_patch16_224', {}, 'no such model; did you mean vit_small'),
        ('?', {}, r'no such model; timm\.list_models\(\) names them'),
        (
            'vit_tiny_patch16_224',
            {'out_indices': 2},
            'has 2 blocks .* -2 to 1',
        ),
        ('vit_tiny_patch16_224', {'out_indices': ()}, r'out_indices \(\)'),
        ('vit_tiny_patch16_224', {'facet': 'keys'}, "facet 'keys', expected"),
        ('vit_tiny_patch16_224', {'patch_stride': 17}, 'expected 1 to 16'),
        ('vit_tiny_patch16_224', {'nothing': 1}, "argument 'nothing'"),
        ('vit_tiny_patch16_224.no', {'pretrained': True}, 'weights=FILE; fou'),
        ('resnet18', {'facet': 'key'}, "no facet 'key': it is no Vision"),
        ('resnet18', {'patch_stride': 2}, 'is no Vision Transformer'),
    ],
)
def test_what_there_is_not(name, options, message):
    if 'vit_tiny' in name:
        options = dict(depth=2, **options)
    with pytest.raises(ValueError, match=message):
        TimmBackbone(name, **options)


def test_frames_that_the_patches_do_not_divide():
    backbone = build('vit_small_patch14_dinov2')
    with pytest.raises(ValueError, match=r'240x432 .* ResizeFrame\(multiple='):
        backbone(torch.zeros(1, 3, 240, 432))
    backbone.check_size((238, 434))
    finer = build('vit_small_patch14_dinov2', patch_stride=7)
    finer.check_size((119, 217))
    fixed = TimmBackbone('beit_base_patch16_224', depth=1)
    with pytest.raises(ValueError, match=r'224x224 alone; expected img_size='):
        fixed.check_size((240, 432))
    TimmBackbone(
        'beit_base_patch16_224', depth=1, img_size=(240, 432)
    ).check_size((240, 432))


def model(backbone, **kwargs):
    propagator = dict(radius=3, topk=5, context=3)
    return LabelPropagationVOS(backbone, propagator, **kwargs).eval()


def test_labels_are_propagated_on_frames_of_davis():
    vit = model(
        dict(
            type='TimmBackbone',
            model_name='vit_tiny_patch16_224',
            depth=1,
            _scope_='hvc_mm',
        ),
        warmup_zero_image=(250, 250),  # no batch norm is there to see it
    )
    frames = [torch.zeros(3, 240, 432), torch.zeros(3, 240, 432)]
    mask = torch.zeros(240, 432, dtype=torch.uint8)
    mask[80:160, 144:288] = 1
    for frame, column in zip(frames, (144, 160)):
        frame[:, 80:160, column : column + 144] = 2
    first, second = (
        VOSDataSample(metainfo=dict(ori_shape=(240, 432), starts_video=s))
        for s in (True, False)
    )
    first.prompt_ids = mask
    found = vit.predict(frames, [first, second])[1].pred_ids
    found = found == 1
    wanted = torch.zeros_like(found)
    wanted[80:160, 160:304] = True
    overlap = (found & wanted).sum() / (found | wanted).sum()
    assert overlap > 0.8


def test_an_ensemble_with_batch_norms_is_warmed_up_beside_it():
    vit = dict(
        type='hvc_mm.TimmBackbone',
        model_name='vit_small_patch14_dinov2',
        depth=1,
    )
    resnet = dict(
        type='hvc_mm.HVCResNet',
        depth=18,
        strides=(1, 2, 2, 2),
        out_indices=(0,),
    )
    both = model(
        dict(type='hvc_mm.FeatureEnsemble', members=[resnet, vit]),
        warmup_zero_image=(256, 256),
    )
    alone = model(resnet, warmup_zero_image=(256, 256))
    alone.load_state_dict(
        {
            name.replace('members.0.', ''): tensor
            for name, tensor in both.state_dict().items()
            if 'members.0.' in name
        }
    )
    both.warm_up()
    alone.warm_up()
    for name, tensor in alone.backbone.named_buffers():
        moved = both.backbone.members[0].get_buffer(name)
        assert torch.equal(moved, tensor)
    # An all-zero image has no variance.
    variance = alone.backbone.bn1.running_var
    torch.testing.assert_close(variance, torch.full_like(variance, 0.9))
