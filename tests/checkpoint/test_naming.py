"""Vision Transformers by every project's names, each renamed here by hand.

C width 8, two blocks, patches of 4 pixels, position embeddings of 3 x 3 cells.
"""

import pytest
import torch

from hvc_mm.checkpoint import find_network

C, BLOCKS, PATCH, SIDE = 8, 2, 4, 3


def _dino(scale=False, registers=0, positions='with class', seed=0, c=C):
    """A network's tensors by DINO's names."""
    torch.manual_seed(seed)
    shapes = {
        'cls_token': (1, 1, c),
        'patch_embed.proj.weight': (c, 3, PATCH, PATCH),
        'patch_embed.proj.bias': (c,),
        'norm.weight': (c,),
        'norm.bias': (c,),
    }
    if registers:
        shapes['reg_token'] = (1, registers, c)
    if positions:
        shapes['pos_embed'] = (1, SIDE**2 + (positions == 'with class'), c)
    for i in range(BLOCKS):
        block = {
            'norm1.weight': (c,),
            'norm1.bias': (c,),
            'attn.qkv.weight': (3 * c, c),
            'attn.qkv.bias': (3 * c,),
            'attn.proj.weight': (c, c),
            'attn.proj.bias': (c,),
            'norm2.weight': (c,),
            'norm2.bias': (c,),
            'mlp.fc1.weight': (4 * c, c),
            'mlp.fc1.bias': (4 * c,),
            'mlp.fc2.weight': (c, 4 * c),
            'mlp.fc2.bias': (c,),
        }
        if scale:
            block.update({'ls1.gamma': (c,), 'ls2.gamma': (c,)})
        shapes.update({f'blocks.{i}.{n}': s for n, s in block.items()})
    return {name: torch.randn(shape) for name, shape in shapes.items()}


def _with(state, replaced, dropped=()):
    """Rename by a table of whole beginnings or whole parts of names."""
    renamed = {}
    for name, tensor in state.items():
        for old, new in replaced:
            name = name.replace(old, new)
        renamed[name] = tensor
    return {n: t for n, t in renamed.items() if n not in dropped}


def _dinov2(state):
    """Chunked blocks, a mask token, registers with another name."""
    file = _with(
        state,
        [('blocks.1.', 'blocks.1.1.'), ('reg_token', 'register_tokens')],
    )
    file = _with(file, [('blocks.0.', 'blocks.0.0.')])
    return {**file, 'mask_token': torch.zeros(1, C)}


def _dinov3(state):
    file = _with(state, [('reg_token', 'storage_tokens')])
    for i in range(BLOCKS):
        mask = torch.cat([torch.ones(C), torch.zeros(C), torch.ones(C)])
        file[f'blocks.{i}.attn.qkv.bias_mask'] = mask
    return {
        **file,
        'mask_token': torch.zeros(1, C),
        'rope_embed.periods': torch.ones(2),
    }


def _split(state, names):
    """q, k and v apart."""
    file = {}
    for name, tensor in state.items():
        parts = zip(names, tensor.chunk(3)) if '.qkv.' in name else ()
        file.update({name.replace('qkv', part): t for part, t in parts})
        if not parts:
            file[name] = tensor
    return file


def _eva(state):
    """timm's DINOv3: biases of q and v, scales as attributes."""
    file = {}
    for name, tensor in state.items():
        if name.endswith('qkv.bias'):
            q, _, v = tensor.chunk(3)
            file[name.replace('qkv.bias', 'q_bias')] = q
            file[name.replace('qkv.bias', 'v_bias')] = v
        else:
            file[name] = tensor
    return _with(file, [('ls1.gamma', 'gamma_1'), ('ls2.gamma', 'gamma_2')])


def _hugging_face(state, is_new=False, is_vit=True):
    """ViT of transformers, by the names of its hub and of version 5."""
    names = 'q_proj', 'k_proj', 'v_proj'
    old = 'attention.query', 'attention.key', 'attention.value'
    file = _split(state, names if is_new else old)
    pairs = [
        ('attn.proj.', 'attention.o_proj.'),
        ('attn.', 'attention.'),
        ('blocks.', 'layers.'),
    ]
    if not is_new:
        pairs = [
            ('attn.proj.', 'attention.output.dense.'),
            ('attn.', 'attention.'),
            ('blocks.', 'encoder.layer.'),
        ]
        if is_vit:
            pairs += [
                ('mlp.fc1.', 'intermediate.dense.'),
                ('mlp.fc2.', 'output.dense.'),
            ]
    if is_vit:
        pairs += [
            ('norm1', 'layernorm_before'),
            ('norm2', 'layernorm_after'),
        ]
    pairs += [
        ('ls1.gamma', 'layer_scale1.lambda1'),
        ('ls2.gamma', 'layer_scale2.lambda1'),
        ('cls_token', 'embeddings.cls_token'),
        ('pos_embed', 'embeddings.position_embeddings'),
        ('reg_token', 'embeddings.register_tokens'),
        ('patch_embed.proj', 'embeddings.patch_embeddings.projection'),
    ]
    file = _with(file, pairs)
    for what in ('weight', 'bias'):
        file[f'layernorm.{what}'] = file.pop(f'norm.{what}')
    return file


def _hugging_face_dinov3(state):
    file = _split(state, ('q_proj', 'k_proj', 'v_proj'))
    file = _with(
        file,
        [
            ('attn.proj.', 'attention.o_proj.'),
            ('attn.', 'attention.'),
            ('blocks.', 'layer.'),
            ('mlp.fc1', 'mlp.up_proj'),
            ('mlp.fc2', 'mlp.down_proj'),
            ('ls1.gamma', 'layer_scale1.lambda1'),
            ('ls2.gamma', 'layer_scale2.lambda1'),
            ('cls_token', 'embeddings.cls_token'),
            ('reg_token', 'embeddings.register_tokens'),
            ('patch_embed.proj', 'embeddings.patch_embeddings'),
        ],
    )
    return {n: t for n, t in file.items() if not n.endswith('k_proj.bias')}


def _mmpretrain(state):
    return _with(
        state,
        [
            ('patch_embed.proj', 'patch_embed.projection'),
            ('blocks.', 'layers.'),
            ('norm', 'ln'),
            ('ln.', 'ln1.'),
            ('mlp.fc1', 'ffn.layers.0.0'),
            ('mlp.fc2', 'ffn.layers.1'),
            ('ls1.gamma', 'attn.gamma1.weight'),
            ('ls2.gamma', 'ffn.gamma2.weight'),
        ],
    )


def _mmseg(state):
    return _with(
        _mmpretrain(state),
        [
            ('attn.qkv.', 'attn.attn.in_proj_'),
            ('attn.proj.', 'attn.attn.out_proj.'),
        ],
    )


def _under(prefix, state):
    return {prefix + name: tensor for name, tensor in state.items()}


def _zero_key_bias(state):
    for name, tensor in state.items():
        if name.endswith('qkv.bias'):
            tensor.chunk(3)[1].zero_()
    return state


PLAIN = _dino()
SCALED = _dino(scale=True)
REGISTERS = _dino(scale=True, registers=4)
ROPE = _zero_key_bias(_dino(scale=True, registers=4, positions=''))
OTHER = _dino(seed=1)
# One network as each project names it, and its tensors by DINO's names.
NETWORKS = {
    'DINO': (PLAIN, PLAIN),
    'iBOT': (PLAIN, {**PLAIN, 'masked_embed': torch.zeros(1, C)}),
    'HF': (PLAIN, _hugging_face(PLAIN)),
    'HF 5': (PLAIN, _hugging_face(PLAIN, True)),
    'MMSegmentation': (PLAIN, _mmseg(PLAIN)),
    'DINOv2': (SCALED, _dinov2(SCALED)),
    'MMPretrain': (SCALED, _mmpretrain(SCALED)),
    'HF DINOv2': (SCALED, _hugging_face(SCALED, is_vit=False)),
    'DINOv2 registers': (REGISTERS, _dinov2(REGISTERS)),
    'HF DINOv2 registers': (
        REGISTERS,
        _hugging_face(REGISTERS, is_vit=False),
    ),
    'DINOv3': (ROPE, _dinov3(ROPE)),
    'timm Eva': (ROPE, _eva(ROPE)),
    'HF DINOv3': (ROPE, _hugging_face_dinov3(ROPE)),
    'HF 5 DINOv3': (
        ROPE,
        _with(_hugging_face_dinov3(ROPE), [('layer.', 'model.layer.')]),
    ),
}
PAIRS = [
    (one, other)
    for one in NETWORKS
    for other in NETWORKS
    if NETWORKS[one][0] is NETWORKS[other][0]
]


def _equal(one, other):
    return one.keys() == other.keys() and all(
        torch.equal(one[name], other[name]) for name in other
    )


@pytest.mark.parametrize('one, other', PAIRS)
def test_every_projects_names_lead_to_every_others(one, other):
    content, wanted = NETWORKS[one][1], NETWORKS[other][1]
    found = find_network(content, {n: t * 0 for n, t in wanted.items()})
    for name, tensor in found.tensors.items():
        assert torch.equal(tensor, wanted[name]), name
    # What changes no feature may be missing.
    left = {name.split('.')[-1] for name in wanted.keys() - found.tensors}
    assert left <= {'mask_token', 'masked_embed', 'periods'}


MAE_DECODER = {
    'mask_token': torch.zeros(1, 1, 5),
    'decoder_embed.weight': torch.zeros(5, C),
    'decoder_blocks.0.attn.qkv.weight': torch.zeros(15, 5),
}
FILES = {
    'dino': {
        'student': _under('module.backbone.', OTHER),
        'teacher': {
            **_under('backbone.', PLAIN),
            'head.mlp.0.weight': torch.ones(2, 2),
        },
        'epoch': 3,
    },
    'vit': {'model': {**PLAIN, **MAE_DECODER}},
    'hugging_face': {
        **_under('vit.', _hugging_face(PLAIN)),
        'classifier.weight': torch.ones(2, C),
    },
    'mm': {'state_dict': _under('backbone.', _mmseg(PLAIN))},
    'mmpretrain': _mmpretrain(PLAIN),
}


@pytest.mark.parametrize('layout', FILES)
def test_a_file_is_recognised(layout):
    wanted = {name: tensor * 0 for name, tensor in PLAIN.items()}
    for asked in ('auto', layout):
        found = find_network(FILES[layout], wanted, asked)
        assert found.layout == layout and _equal(found.tensors, PLAIN)
        # Without a network that is asked for, by DINO's names.
        found = find_network(FILES[layout], None, asked)
        assert found.layout == layout
        assert _equal({n: found.tensors[n] for n in PLAIN}, PLAIN)
