"""Models of transformers: small ones at random, saved as safetensors."""

import copy
import json

import pytest
import torch

from hvc_mm.checkpoint import CheckpointError
from hvc_mm.engine.hooks.protocol_log_hook import weight_files
from hvc_mm.models import LabelPropagationVOS, TransformersBackbone
from hvc_mm.registry import MODELS

transformers = pytest.importorskip('transformers')

SMALL = dict(
    hidden_size=32,
    num_hidden_layers=3,
    num_attention_heads=2,
    patch_size=8,
    image_size=64,
    initializer_range=0.3,
)
# Further options, and how many tokens come before the patches'.
KINDS = {
    'dinov2': (dict(layerscale_value=0.5), 1),
    'dinov2_with_registers': (dict(layerscale_value=0.5), 5),
    'dinov3_vit': (
        dict(
            layerscale_value=0.5, intermediate_size=64, num_register_tokens=4
        ),
        5,
    ),
    'vit': (dict(intermediate_size=64), 1),
}
ROWS, COLUMNS = 6, 10


@pytest.fixture(params=KINDS)
def kind(request):
    try:
        transformers.AutoConfig.for_model(request.param)
    except ValueError:
        version = transformers.__version__
        pytest.skip(f'transformers {version} has no {request.param}')
    return request.param


def build(kind, **kwargs):
    torch.manual_seed(0)
    config = dict(SMALL, model_type=kind, **KINDS[kind][0])
    return TransformersBackbone(config, **kwargs).eval()


@pytest.fixture
def image():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, 3, 8 * ROWS, 8 * COLUMNS, generator=generator)


def as_map(tokens, prefix, rows=ROWS):
    tokens = tokens[:, prefix:].reshape(len(tokens), rows, -1, 32)
    return tokens.permute(0, 3, 1, 2)


def whole(kind, state):
    """The model as transformers builds it, and how to call it."""
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(
        model_type=kind, **SMALL, **KINDS[kind][0]
    )
    model = transformers.AutoModel.from_config(config).eval()
    left = model.load_state_dict(state, strict=False)
    assert not left.unexpected_keys
    assert all('pooler' in key for key in left.missing_keys)
    options = dict(interpolate_pos_encoding=True) if kind == 'vit' else {}
    return lambda image: model(image, output_hidden_states=True, **options)


@torch.no_grad()
def test_maps_are_those_of_the_model(kind, image):
    backbone = build(kind, out_indices=(-1, 0))
    model = whole(kind, backbone.primary.state_dict())
    found, prefix = model(image), KINDS[kind][1]
    last, first = backbone(image)
    torch.testing.assert_close(last, as_map(found.last_hidden_state, prefix))
    # hidden_states has the embeddings first.
    raw = as_map(found.hidden_states[1], prefix)
    (mine,) = build(kind, out_indices=0, norm=False)(image)
    torch.testing.assert_close(mine, raw)
    assert not torch.allclose(first, raw)
    torch.testing.assert_close(first.mean(dim=1), 0 * first.mean(dim=1))


@torch.no_grad()
def test_facets_are_those_of_the_attention(kind, image):
    for facet in ('query', 'key', 'value'):
        backbone = build(kind, out_indices=1, facet=facet)
        (found,) = backbone(image)
        names = dict(backbone.body.named_modules())
        names = {
            name: module
            for name, module in names.items()
            if '.1.' in name
            and name.endswith((f'.{facet}', f'.{facet[0]}_proj'))
        }
        (linear,) = names.values()
        norm = next(
            module
            for name, module in backbone.body.named_modules()
            if name.endswith(('.1.norm1', '.1.layernorm_before'))
        )
        model = whole(kind, build(kind).primary.state_dict())
        tokens = model(image).hidden_states[1]
        wanted = linear(norm(tokens))
        torch.testing.assert_close(
            found, as_map(wanted, KINDS[kind][1]), rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize('stride', [8, 4])
@torch.no_grad()
def test_the_map_shows_where_a_patch_is_bright(kind, stride):
    # A layer norm would make much of the few pixels that a neighbour sees.
    backbone = build(kind, patch_stride=stride, norm=False)
    dark = torch.zeros(1, 3, 8 * ROWS, 8 * COLUMNS)
    for row, column in ((1, 8), (4, 2)):
        bright = dark.clone()
        bright[..., row * 8 : row * 8 + 8, column * 8 : column * 8 + 8] = 3
        difference = backbone(bright)[0] - backbone(dark)[0]
        difference = difference.norm(dim=1)
        assert difference.shape == (1, 48 // stride, 80 // stride)
        by_patch = torch.nn.functional.avg_pool2d(difference, 8 // stride)
        assert divmod(int(by_patch.argmax()), COLUMNS) == (row, column)


def test_a_folder_of_safetensors(kind, image, tmp_path):
    torch.manual_seed(1)
    config = transformers.AutoConfig.for_model(
        model_type=kind, **SMALL, **KINDS[kind][0]
    )
    model = transformers.AutoModel.from_config(config).eval()
    model.half().save_pretrained(tmp_path)
    cfg = dict(type='TransformersBackbone', model=str(tmp_path))
    vos = LabelPropagationVOS(dict(cfg, type='hvc_mm.TransformersBackbone'))
    backbone = vos.eval().backbone
    for name, tensor in backbone.primary.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, model.state_dict()[name].float())
    (file,) = weight_files(dict(backbone=cfg))
    assert file == str(tmp_path / 'model.safetensors')
    with torch.no_grad():
        (features,) = vos.extract_feat([image[0]])
    assert features.shape == (1, 32, ROWS, COLUMNS)


def test_folders_that_do_not_hold_the_model(tmp_path):
    safetensors = pytest.importorskip('safetensors.torch')
    torch.manual_seed(1)
    config = transformers.AutoConfig.for_model(model_type='dinov2', **SMALL)
    transformers.AutoModel.from_config(config).save_pretrained(tmp_path)
    path, name = tmp_path / 'model.safetensors', 'layernorm.weight'

    def refused(message, error=CheckpointError):
        with pytest.raises(error, match=message):
            TransformersBackbone(str(tmp_path))

    tensors = safetensors.load_file(str(path))
    nan = dict(tensors, **{name: tensors[name] * float('nan')})
    safetensors.save_file(nan, str(path))
    refused(f'{path}: NaN or infinity in 1 of its tensors: {name}')
    less = {key: tensors[key] for key in tensors if key != name}
    safetensors.save_file(less, str(path))
    refused(f'{path}: the checkpoint lacks 1 of the .*{name}')
    config.hidden_size = 16
    config.save_pretrained(tmp_path)
    refused(f'{path}: .*width 32.*width 16')
    path.write_bytes(b'<html>not found</html>')
    refused(f"{path}: can't be read")
    path.unlink()
    torch.save(tensors, tmp_path / 'pytorch_model.bin')
    refused('expected a folder with config.json and model', ValueError)
    (tmp_path / 'config.json').write_text(json.dumps({'model_type': '?'}))
    refused('expected a folder with config.json and model', ValueError)


def test_nothing_is_downloaded_unasked(monkeypatch):
    def connect(*_, **__):
        raise AssertionError('a connection')

    monkeypatch.setattr('socket.getaddrinfo', connect)
    monkeypatch.setattr('socket.create_connection', connect)
    with pytest.raises(ValueError, match=r'local cache \(download=True'):
        TransformersBackbone('facebook/dinov2-no-such-model')


def test_copies_share_nothing_and_keep_the_mode(kind, image):
    backbone = build(kind, patch_stride=4, facet='key')
    clone = copy.deepcopy(backbone)
    assert not clone.training and not clone.body.training
    with torch.no_grad():
        before = backbone(image)[0]
        assert torch.equal(clone(image)[0], before)
        for parameter in clone.parameters():
            parameter.zero_()
        assert torch.equal(backbone(image)[0], before)


def test_what_comes_after_is_left_out(kind):
    count = len(build(kind).state_dict())
    names = build(kind, out_indices=0).state_dict()
    assert len(names) < count / 2
    assert not any('.1.' in name or 'pooler' in name for name in names)


@pytest.mark.parametrize(
    'model, options, message',
    [
        ({}, dict(out_indices=3), 'out_indices 3, but it has 3 blocks'),
        ({}, dict(facet='keys'), "facet 'keys', expected one of token"),
        ({}, dict(patch_stride=9), 'patch_stride 9, expected 1 to 8'),
        (dict(model_type='no'), {}, 'no: expected the config of a known'),
        (dict(model_type='vit_mae'), {}, 'ViTMAEModel does not keep a token'),
        (dict(model_type='convnext'), {}, 'ConvNextModel does not keep'),
    ],
)
def test_what_there_is_not(model, options, message):
    config = dict(SMALL, model_type='dinov2')
    config.update(model)
    with pytest.raises(ValueError, match=message):
        TransformersBackbone(config, **options)


def test_is_registered_and_checks_frames():
    cfg = dict(type='TransformersBackbone', _scope_='hvc_mm')
    backbone = MODELS.build(dict(cfg, model=dict(SMALL, model_type='dinov2')))
    with pytest.raises(ValueError, match=r'50x80 .* ResizeFrame\(multiple=8'):
        backbone(torch.zeros(1, 3, 50, 80))
