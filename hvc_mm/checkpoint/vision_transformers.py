"""Rename a Vision Transformer's tensors to the names of another project.

Every project's names lead to one set, that of DINO and timm (``blocks.0.attn.
qkv.weight``), by the patterns of ``naming.STYLES``; and from there to the
names of the network that is to be filled. On the way q, k and v are joined or
split, and the class token's position is added to the token where the network
has no place for it, so that features are the same.

Shapes: C width, h w grid of the position embeddings, P patch size.
"""

from __future__ import annotations

import math
import re
from typing import Collection, List, NamedTuple, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .checks import some_of
from .layouts import OPTIONAL, Tensors
from .naming import STYLES

# Projections that some projects keep in one tensor, in the order of its rows.
_WHOLES = {
    'attn': ('attn.qkv', ['q', 'k', 'v']),
    'mlp': ('mlp.fc1', ['w1', 'w2']),
}
_PART = re.compile(r'(.*\.)(attn|mlp)\.(q|k|v|w1|w2)\.(weight|bias)')
_BLOCK = re.compile(r'blocks\.(\d+)\.')
# What changes features wherever it is. A final norm may be left out, a head,
# and what training alone uses.
_TOKENS = ('cls_token', 'dist_token', 'reg_token', 'pos_embed')


class Size(NamedTuple):
    """Of a Vision Transformer.

    Attributes:
        width: C.
        blocks: How many there are.
        patch: P, in pixels.
    """

    width: int
    blocks: int
    patch: int

    def __str__(self) -> str:
        return (
            f'width {self.width}, {self.blocks} blocks, patch size '
            f'{self.patch}'
        )


def vit_places(tensors: Tensors) -> List[Tuple[str, str]]:
    """List where among tensors a Vision Transformer is.

    Args:
        tensors: Name -> tensor of any shape.

    Returns:
        Pairs of a key of ``STYLES`` and a prefix.
    """
    places = {
        (style, key[: -len(anchor)]): None
        for style, naming in STYLES.items()
        if naming.is_vit
        for anchor in naming.anchors
        for key in tensors
        if key.endswith(anchor)
    }
    # Parts of other networks, as a stage of Swin, have no patches.
    return [
        (style, prefix)
        for style, prefix in places
        if any(
            _renamed(key[len(prefix) :], style) == 'patch_embed.proj.weight'
            for key in tensors
            if key.startswith(prefix)
        )
    ]


def without_prefix(tensors: Tensors, prefix: str) -> Tensors:
    """Select the tensors under a prefix, and drop it from their names.

    Args:
        tensors: Name -> tensor of any shape.
        prefix: What the names begin with, its dot included.
    """
    return {
        name[len(prefix) :]: tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def common_tensors(tensors: Tensors, style: str) -> Tensors:
    """Rename a Vision Transformer's tensors to DINO's names.

    Args:
        tensors: Name without prefix -> tensor of any shape.
        style: A key of ``STYLES``.

    Returns:
        Name -> tensor; q, k and v are one ``(3 C, C)``. Without the mask of
        DINOv3's key biases, which are zero here.
    """
    common = {_renamed(name, style): t for name, t in tensors.items()}
    for name in [name for name in common if name.endswith('.bias_mask')]:
        mask = common.pop(name)
        bias = name[: -len('_mask')]
        if bias in common and mask.isfinite().all():
            common[bias] = common[bias] * mask
    return _join(common)


def _renamed(name: str, style: str) -> str:
    for pattern, replacement in STYLES[style].patterns:
        name = re.sub(pattern, replacement, name)
    return name


def _join(tensors: Tensors) -> Tensors:
    """Put q, k, v and the two halves of a gated MLP into one tensor each."""
    joined = {}
    for name, tensor in tensors.items():
        match = _PART.fullmatch(name)
        if match is None:
            joined[name] = tensor
            continue
        block, kind, _, what = match.groups()
        whole, names = _WHOLES[kind]
        parts = [tensors.get(f'{block}{kind}.{n}.{what}') for n in names]
        there = [part for part in parts if part is not None]
        if kind == 'attn' and what == 'bias':
            # A key's bias changes no attention: some have none.
            there = [tensor * 0 if t is None else t for t in parts]
        joined[f'{block}{whole}.{what}'] = torch.cat(there)
    return joined


def size_of(common: Tensors) -> Size:
    """Measure a Vision Transformer.

    Args:
        common: Name -> tensor, by DINO's names; ``patch_embed.proj.weight``
            is ``(C, 3, P, P)``.
    """
    weight = common['patch_embed.proj.weight']
    numbers = [int(m[1]) for m in map(_BLOCK.match, common) if m]
    return Size(weight.shape[0], max(numbers) + 1, weight.shape[-1])


def fit(common: Tensors, wanted: Tensors) -> Tuple[Tensors, str]:
    """Give a network's tensors its own names and shapes.

    Args:
        common: A file's, of :func:`common_tensors`.
        wanted: A Vision Transformer's state dict, name -> tensor of any
            shape; only the shapes are looked at.

    Returns:
        Name as in ``wanted`` -> tensor, of those that the file has, and what
        was changed on the way, in words.

    Raises:
        ValueError: When the two networks differ in size or kind; says how.
    """
    style, prefix = vit_places(wanted)[0]
    own = common_tensors(without_prefix(wanted, prefix), style)
    found, expected = size_of(common), size_of(own)
    same_but_deeper = found._replace(blocks=expected.blocks) == expected
    if not same_but_deeper or found.blocks < expected.blocks:
        raise ValueError(
            f'a Vision Transformer of {found}; expected {expected}'
        )
    common, changes = _fit_positions(dict(common), own)
    _check_kind(common, own, expected.blocks)
    common_names = {
        prefix + name: _renamed(name, style)
        for name in without_prefix(wanted, prefix)
    }
    fitted = {}
    for name, common_name in common_names.items():
        value = _look_up(common_name, common, set(common_names.values()))
        if value is None:
            continue
        shape = wanted[name].shape
        # A token is (1, C) in some projects and (1, 1, C) in others.
        is_same = value.squeeze().shape == wanted[name].squeeze().shape
        fitted[name] = value.reshape(shape) if is_same else value
    return fitted, changes


def _look_up(
    name: str, common: Tensors, wanted: Collection[str]
) -> Optional[Tensor]:
    """Find a tensor, a part of one, or what one that isn't there would be."""
    match = _PART.fullmatch(name)
    if match:
        block, kind, part, what = match.groups()
        whole, parts = _WHOLES[kind]
        joined = _look_up(f'{block}{whole}.{what}', common, wanted)
        if kind == 'mlp':  # an MLP without gate is one part
            parts = [p for p in parts if f'{block}mlp.{p}.weight' in wanted]
        if joined is None or len(joined) % len(parts):
            return None
        return joined.chunk(len(parts))[parts.index(part)]
    weight = common.get(re.sub(r'bias(_mask)?$', 'weight', name))
    if name.endswith('attn.qkv.bias_mask') and weight is not None:
        ones = torch.ones(len(weight) // 3)
        return torch.cat([ones, ones * 0, ones])
    if name.endswith('attn.qkv.bias') and weight is not None:
        if not any(key.endswith('attn.qkv.bias') for key in common):
            return weight.new_zeros(len(weight))  # none is one of zero
    return common.get(name)


def _check_kind(common: Tensors, own: Tensors, blocks: int) -> None:
    """Refuse tensors that the network lacks and that would change features."""

    def matters(name: str, tensor: Tensor) -> bool:
        match = _BLOCK.match(name)
        in_block = match is not None and int(match[1]) < blocks
        if name in own or name.endswith(OPTIONAL):
            return False
        # A bias of zero is none.
        return (in_block or name in _TOKENS) and bool(tensor.any())

    extra = [name for name, t in common.items() if matters(name, t)]
    if extra:
        raise ValueError(
            'a Vision Transformer of another kind: the network has no '
            f'{some_of(extra)} (by the names of timm and DINO)'
        )


def _fit_positions(common: Tensors, own: Tensors) -> Tuple[Tensors, str]:
    """Bring position embeddings ``(1, tokens + h w, C)`` to another form."""
    have, want = common.get('pos_embed'), own.get('pos_embed')
    if have is None or want is None or have.shape == want.shape:
        return common, ''
    grid, places = _grid_of(have)
    new_grid, new_places = _grid_of(want)
    if not grid or not new_grid:
        raise ValueError(
            f'position embeddings {_cells(have)}; expected '
            f'{_cells(want)}: build the network at the size of its '
            'pre-training'
        )
    tokens, cells = have[:, :places], have[:, places:]
    if places == 1 and new_places == 0 and 'cls_token' in own:
        common['cls_token'] = common['cls_token'] + tokens
        tokens = tokens[:, :0]
    elif places < new_places:
        tokens = F.pad(tokens, (0, 0, 0, new_places - places))
    changes = ''
    if grid != new_grid:
        cells = resample_positions(cells, (grid, grid), (new_grid, new_grid))
        changes = (
            f'position embeddings resampled from {grid}x{grid} to '
            f'{new_grid}x{new_grid} cells'
        )
    common['pos_embed'] = torch.cat([tokens, cells], dim=1)
    return common, changes


def _grid_of(positions: Tensor) -> Tuple[int, int]:
    """Tell the side of a square grid, and how many places precede it.

    Args:
        positions: ``(1, tokens + h w, C)``.

    Returns:
        The side, 0 where the grid is no square, and the number of tokens.
    """
    for places in (0, 1, 2):  # none, a class token, that of distillation too
        side = math.isqrt(max(positions.shape[1] - places, 0))
        if side and side * side + places == positions.shape[1]:
            return side, places
    return 0, 0


def _cells(positions: Tensor) -> str:
    side, _ = _grid_of(positions)
    return f'of {side}x{side} cells' if side else f'{tuple(positions.shape)}'


def resample_positions(
    positions: Tensor, size: Tuple[int, int], new_size: Tuple[int, int]
) -> Tensor:
    """Resample position embeddings to another grid, as timm does.

    Bicubic with antialiasing, as ``timm.layers.resample_abs_pos_embed``.

    Args:
        positions: ``(1, h w, C)``, without those of tokens.
        size: ``(h, w)``.
        new_size: Of the result.

    Returns:
        ``(1, new h * new w, C)``, of the same type.
    """
    grid = positions.float().reshape(1, *size, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, new_size, mode='bicubic', antialias=True)
    return grid.flatten(2).transpose(1, 2).to(positions.dtype)


def vit_tensors(common: Tensors) -> Tensors:
    """Select what makes features, without heads, decoders and mask tokens.

    Args:
        common: Name -> tensor of any shape, by DINO's names.
    """
    kept = ('patch_embed.', 'blocks.', 'norm.', 'norm_pre.', 'cls_norm.')
    return {
        name: tensor
        for name, tensor in common.items()
        if name.startswith(kept) or name in _TOKENS
    }


def expected_of_vit(common: Tensors) -> Tensors:
    """Say what a file should hold, from what its first block holds.

    Args:
        common: Name -> tensor of any shape, by DINO's names.

    Returns:
        Name -> tensor of the expected shape: all blocks like the first one.
    """
    selected = vit_tensors(common)
    expected = {n: t for n, t in selected.items() if not _BLOCK.match(n)}
    first = {n: t for n, t in selected.items() if n.startswith('blocks.0.')}
    for block in range(size_of(common).blocks):
        for name, tensor in first.items():
            expected[name.replace('.0.', f'.{block}.', 1)] = tensor
    return expected
