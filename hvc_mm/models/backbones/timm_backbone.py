"""Any network of timm as a backbone: Vision Transformers and pyramids.

Shapes: N batch, H W image, C channels and h w grid of a map.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, Dict, Optional, Sequence, Tuple, Union

import torch.nn.functional as F
from mmengine.model import BaseModule
from packaging.version import parse
from torch import Tensor, nn

from hvc_mm.checkpoint import load_backbone
from hvc_mm.registry import MODELS

from .patches import (
    check_facet,
    check_multiple,
    choose_blocks,
    recorded,
    refine_patches,
    tokens_to_map,
)

# The first one with DINOv3.
_OLDEST = '1.0.20'
# What constructors of timm call "takes images of any size"; networks of
# convolutions have no word for it.
_ANY_SIZE = ({'dynamic_img_size': True}, {'strict_img_size': False}, {})


@MODELS.register_module()
class TimmBackbone(BaseModule):
    """The maps of chosen blocks or stages of a network of timm.

    Images may have any size that the patches divide: position embeddings are
    resized by timm (bicubic, with anti-aliasing), class and register tokens
    are dropped. Maps are always ``(N, C, h, w)``. What comes after the last
    chosen block is not built. Its state dict is that of the network, under
    ``body.``.

    Args:
        model_name: Name in timm, e.g. ``'vit_small_patch16_224'``,
            ``'vit_small_patch14_dinov2'`` or ``'convnext_tiny'``.
        weights: File of weights, of any layout that
            :mod:`hvc_mm.checkpoint` knows; None starts at random.
        out_indices: Blocks of a Vision Transformer or stages of a pyramid,
            from 0; negative ones count from the end. Several give several
            maps.
        norm: Apply the network's final layer norm to each map of a Vision
            Transformer, and to the last one of a Swin; others have none.
        facet: What of a block: ``'token'``, its output, or ``'key'``,
            ``'query'`` or ``'value'``, what its attention's linear layer
            makes of its input, all heads side by side. These are of Vision
            Transformers alone and without ``norm``.
        patch_stride: Embed a patch every so many pixels (Vision Transformers
            alone), see :func:`~hvc_mm.models.backbones.patches
            .refine_patches`; None for the patch's side.
        init_cfg: mmengine's.
        **options: For ``timm.create_model``, e.g. ``pretrained=True``, which
            downloads timm's own weights of ``model_name``, or ``img_size``.

    Raises:
        ImportError: When timm isn't installed.
        ValueError: When timm has no such network (the nearest names are
            told), it can't be built, or has no such block, facet or stride.
        CheckpointError: When the file of weights does not fit.

    Example:
        >>> backbone = TimmBackbone('vit_tiny_patch16_224')
        >>> backbone(torch.rand(1, 3, 64, 96))[0].shape
        torch.Size([1, 192, 4, 6])
    """

    def __init__(
        self,
        model_name: str,
        weights: Optional[str] = None,
        out_indices: Union[int, Sequence[int]] = -1,
        norm: bool = True,
        facet: str = 'token',
        patch_stride: Optional[int] = None,
        init_cfg: Optional[dict] = None,
        **options: Any,
    ) -> None:
        super().__init__(init_cfg)
        self.title = f'TimmBackbone {model_name}'
        self.body = _create(self.title, model_name, options)
        # mmengine calls the init_weights of whatever has it and is not yet
        # initialised: timm's would draw new ones over those from a file.
        self.body.is_init = True
        blocks = len(self.body.feature_info)
        self.out_indices = choose_blocks(self.title, out_indices, blocks)
        self.norm = norm
        self.facet = facet
        is_vit = _is_vit(self.body, max(self.out_indices))
        check_facet(self.title, facet, is_vit)
        self.body.prune_intermediate_layers(
            sorted(set(self.out_indices)),
            prune_norm=not norm or facet != 'token',
            prune_head=True,
        )
        if patch_stride is not None:
            self._refine(patch_stride, is_vit)
        if weights is not None:
            load_backbone(self, weights)

    def _refine(self, stride: int, is_vit: bool) -> None:
        if not is_vit:
            raise ValueError(
                f'{self.title} is no Vision Transformer, for which '
                'patch_stride is; expected None'
            )
        embed = self.body.patch_embed
        refine_patches(self.title, embed.proj, stride)
        # timm computes the grid by it.
        embed.patch_size = (stride, stride)

    @property
    def primary(self) -> nn.Module:
        """The network itself: files of weights have its plain names."""
        return self.body

    @property
    def multiple(self) -> int:
        """Pixels that the sides of an image must be a multiple of."""
        embed = getattr(self.body, 'patch_embed', None)
        return embed.patch_size[0] if _is_plain(embed) else 1

    @property
    def fixed_size(self) -> Optional[Tuple[int, int]]:
        """Height and width of the only images that it takes; None: any."""
        embed = getattr(self.body, 'patch_embed', None)
        if _is_plain(embed) and embed.strict_img_size:
            return tuple(embed.img_size)
        return None

    def check_size(self, size: Sequence[int]) -> None:
        """Refuse images that the network can't take.

        Args:
            size: ``(H, W)``.

        Raises:
            ValueError: With what to set.
        """
        fixed = self.fixed_size
        if fixed and tuple(size) != fixed:
            raise ValueError(
                f'{self.title}: a frame of {size[0]}x{size[1]}, but it '
                f'takes {fixed[0]}x{fixed[1]} alone; '
                f'expected img_size=({size[0]}, {size[1]}) or '
                'ResizeFrame(size=...) in the pipeline'
            )
        check_multiple(self.title, size, self.multiple)

    def forward(self, x: Tensor) -> Tuple[Tensor, ...]:
        """Compute the maps of the chosen blocks.

        Args:
            x: Normalised images, ``(N, 3, H, W)``.

        Returns:
            One ``(N, C, h, w)`` map per entry of ``out_indices``.

        Raises:
            ValueError: When the patches do not divide the images.
        """
        self.check_size(x.shape[2:])
        if self.facet != 'token':
            return self._facets(x)
        chosen = sorted(set(self.out_indices))
        maps = self.body.forward_intermediates(
            x, indices=chosen, norm=self.norm, intermediates_only=True
        )
        by_index: Dict[int, Tensor] = dict(zip(chosen, maps))
        return tuple(by_index[index] for index in self.out_indices)

    def _facets(self, x: Tensor) -> Tuple[Tensor, ...]:
        layers = [self.body.blocks[index].attn for index in self.out_indices]
        with recorded(layers) as seen:
            self.body.forward_features(x)
        grid = self.body.patch_embed.dynamic_feat_size(tuple(x.shape[2:]))
        return tuple(
            tokens_to_map(_project(layer, tokens, self.facet), grid)
            for layer, (tokens, _) in zip(layers, seen)
        )


def _create(title: str, name: str, options: dict) -> nn.Module:
    """Build a network of timm that takes images of any size, if it can."""
    try:
        import timm
    except ImportError:
        timm = None
    if timm is None or parse(timm.__version__) < parse(_OLDEST):
        found = f'timm {timm.__version__}' if timm else 'no timm'
        raise ImportError(
            f'{title} needs timm {_OLDEST} or later, found {found}: '
            "pip install 'hvc_mm[timm]'"
        )
    # A name may have a tag of weights, 'NAME.TAG', or a source, 'hf-hub:'.
    if ':' not in name and not timm.is_model(name.split('.')[0]):
        near = get_close_matches(name, timm.list_models())
        hint = f'did you mean {", ".join(near)}?' if near else ''
        raise ValueError(
            f'{title}: timm {timm.__version__} has no such model; '
            f'{hint or "timm.list_models() names them"}'
        )
    for size in _ANY_SIZE:
        try:
            return timm.create_model(name, **{**size, **options})
        except TypeError as error:  # it may not know the word
            problem: Exception = error
        except Exception as error:  # whatever it, or a download, raises
            problem = error
            break
    hint = ', or give weights=FILE' if options.get('pretrained') else ''
    raise ValueError(
        f'{title}: expected options that fit it{hint}; found '
        f'{type(problem).__name__}: {" ".join(str(problem).split()):.200}'
    ) from problem


def _is_plain(embed: Optional[nn.Module]) -> bool:
    """Tell whether it embeds patches side by side, as ViT and Swin do."""
    from timm.layers import PatchEmbed

    return isinstance(embed, PatchEmbed) and not embed.dynamic_img_pad


def _is_vit(network: nn.Module, index: int) -> bool:
    """Tell whether a block's attention is over all patches, in their order."""
    if not hasattr(network, 'num_prefix_tokens'):
        return False
    if not _is_plain(getattr(network, 'patch_embed', None)):
        return False
    attention = getattr(network.blocks[index], 'attn', None)
    return hasattr(attention, 'qkv')


def _project(attention: nn.Module, tokens: Tensor, facet: str) -> Tensor:
    """Compute the keys, queries or values of an attention's input.

    Its linear layer alone: neither a norm of each head (``qk_norm``) nor
    rotary position embeddings are applied.
    """
    letter = facet[0]
    if attention.qkv is None:
        return getattr(attention, f'{letter}_proj')(tokens)
    part = 'qkv'.index(letter)
    bias = attention.qkv.bias
    if bias is not None:
        bias = bias.chunk(3)[part]
    else:  # EVA and BEiT keep them apart, and have none for keys
        bias = getattr(attention, f'{letter}_bias', None)
    return F.linear(tokens, attention.qkv.weight.chunk(3)[part], bias)
