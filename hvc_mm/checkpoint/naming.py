"""Know how projects name a backbone's tensors.

Every style leads to common names by regular expressions: ResNets to those of
torchvision (``layer1.0.conv1.weight``), Vision Transformers to those of DINO
and timm (``blocks.0.attn.qkv.weight``).
"""

from __future__ import annotations

from typing import Dict, NamedTuple, Tuple


class Style(NamedTuple):
    """How a project names the tensors of one kind of network.

    Attributes:
        anchors: Names of one tensor that every such network has; what
            precedes it in a key is the backbone's prefix.
        patterns: Regular expressions and their replacements that lead from a
            name without prefix to the common one, tried one after the other.
        is_vit: Whether of Vision Transformers, whose common names are those
            of DINO and timm. Those of ResNets are torchvision's.
    """

    anchors: Tuple[str, ...]
    patterns: Tuple[Tuple[str, str], ...] = ()
    is_vit: bool = False


_DINO_NAMES = (
    # Blocks in chunks, as DINOv2 and DINOv3 train them.
    (r'^blocks\.\d+\.(\d+)\.', r'blocks.\1.'),
    (r'^(register_tokens|storage_tokens)$', 'reg_token'),
    (r'^masked_embed$', 'mask_token'),
    # timm's Eva, which is its DINOv3.
    (r'\.gamma_([12])$', r'.ls\1.gamma'),
    (r'\.attn\.([qkv])_(?:proj\.)?(bias|weight)$', r'.attn.\1.\2'),
    (r'\.mlp\.fc1_g\.', '.mlp.w1.'),
    (r'\.mlp\.fc1_x\.', '.mlp.w2.'),
    # The gated MLPs of DINOv2 (w12) and DINOv3 (w1, w2).
    (r'\.mlp\.w12\.', '.mlp.fc1.'),
    (r'\.mlp\.w3\.', '.mlp.fc2.'),
)
_HUGGING_FACE_NAMES = (
    (r'^embeddings\.patch_embeddings\.(projection\.)?', 'patch_embed.proj.'),
    (r'^embeddings\.position_embeddings$', 'pos_embed'),
    (r'^embeddings\.register_tokens$', 'reg_token'),
    (r'^embeddings\.', ''),
    (r'^(?:encoder\.|model\.)?layers?\.(\d+)\.', r'blocks.\1.'),
    (
        r'\.attention\.(?:attention\.)?([qkv])(?:uery|ey|alue|_proj)\.',
        r'.attn.\1.',
    ),
    (r'\.attention\.(?:output\.dense|o_proj)\.', '.attn.proj.'),
    (r'\.layernorm_before\.', '.norm1.'),
    (r'\.layernorm_after\.', '.norm2.'),
    (r'\.layer_scale([12])\.lambda1$', r'.ls\1.gamma'),
    (r'\.(?:intermediate\.dense|mlp\.weights_in)\.', '.mlp.fc1.'),
    (r'\.(?:output\.dense|mlp\.weights_out|mlp\.down_proj)\.', '.mlp.fc2.'),
    (r'\.mlp\.gate_proj\.', '.mlp.w1.'),
    (r'\.mlp\.up_proj\.', '.mlp.w2.'),
    (r'^layernorm\.', 'norm.'),
)
_OPENMMLAB_NAMES = (
    (r'^patch_embed\.projection\.', 'patch_embed.proj.'),
    (r'^layers\.(\d+)\.', r'blocks.\1.'),
    (r'\.ln([12])\.', r'.norm\1.'),
    (r'^(?:ln1|norm1)\.', 'norm.'),
    (r'\.(?:attn\.gamma(1)|ffn\.gamma(2))\.weight$', r'.ls\1\2.gamma'),
    (r'\.ffn\.(?:layers\.0\.0|w12)\.', '.mlp.fc1.'),
    (r'\.ffn\.(?:layers\.1|w3)\.', '.mlp.fc2.'),
    # MMSegmentation's, on torch's own attention.
    (r'\.attn\.attn\.in_proj_(weight|bias)$', r'.attn.qkv.\1'),
    (r'\.attn\.attn\.out_proj\.', '.attn.proj.'),
)
STYLES: Dict[str, Style] = {
    'plain': Style(('layer1.0.conv1.weight',)),
    # A padding layer and its convolution in one ``nn.Sequential``.
    'padded': Style(
        ('layer1.0.conv1.1.weight',),
        ((r'(conv\d)\.1\.(weight|bias)$', r'\1.\2'),),
    ),
    # mmcv's ``ConvModule``: convolution and norm under one name.
    'conv_module': Style(
        ('layer1.0.conv1.conv.weight',),
        (
            (r'(^|\.)conv(\d)\.conv\.', r'\1conv\2.'),
            (r'(^|\.)conv(\d)\.bn\.', r'\1bn\2.'),
            (r'downsample\.conv\.', 'downsample.0.'),
            (r'downsample\.bn\.', 'downsample.1.'),
        ),
    ),
    'vit': Style(
        (
            'blocks.0.attn.qkv.weight',
            'blocks.0.0.attn.qkv.weight',
            'blocks.0.attn.q_proj.weight',
        ),
        _DINO_NAMES,
        is_vit=True,
    ),
    'vit_hugging_face': Style(
        (
            'encoder.layer.0.attention.attention.query.weight',
            'encoder.layer.0.attention.q_proj.weight',
            'layers.0.attention.q_proj.weight',
            'model.layer.0.attention.q_proj.weight',
            'layer.0.attention.q_proj.weight',
        ),
        _HUGGING_FACE_NAMES,
        is_vit=True,
    ),
    'vit_openmmlab': Style(
        ('layers.0.attn.qkv.weight', 'layers.0.attn.attn.in_proj_weight'),
        _OPENMMLAB_NAMES,
        is_vit=True,
    ),
}
