"""Any Vision Transformer of Hugging Face's transformers as a backbone.

Shapes: N batch, H W image, s stride of the patches, C channels and h w grid
of a map.
"""

from __future__ import annotations

import inspect
import os.path as osp
from typing import Optional, Sequence, Tuple, Union

from mmengine.model import BaseModule
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

# How models name the linear layers of an attention and the last layer norm.
_LINEARS = {
    facet: (facet, f'{facet[0]}_proj') for facet in ('key', 'query', 'value')
}
_NORMS = ('layernorm', 'norm', 'post_layernorm')


@MODELS.register_module()
class TransformersBackbone(BaseModule):
    """The maps of chosen blocks of a Vision Transformer of transformers.

    DINOv2 (with registers or without), DINOv3, ViT and others that keep one
    token for each patch. Images may have any size that the patches divide:
    position embeddings are resized by the model itself, class and register
    tokens are dropped. Blocks after the last chosen one are left out. Its
    state dict is that of the model, under ``body.``.

    Args:
        model: Folder with ``config.json`` and ``model.safetensors``, as
            ``save_pretrained`` writes it; a name on the hub, e.g.
            ``'facebook/dinov2-small'``, which has to be in the local cache
            unless ``download``; or a config with ``model_type``, which
            starts at random.
        out_indices: Blocks, from 0; negative ones count from the end.
            Several give several maps.
        norm: Apply the model's final layer norm to each map.
        facet: What of a block: ``'token'``, its output, or ``'key'``,
            ``'query'`` or ``'value'``, what its attention's linear layer
            makes of its input, all heads side by side, without ``norm``.
        patch_stride: Embed a patch every so many pixels, see
            :func:`~hvc_mm.models.backbones.patches.refine_patches`; None
            for the patch's side.
        download: Fetch what is not in the local cache.
        init_cfg: mmengine's.

    Raises:
        ImportError: When transformers isn't installed.
        ValueError: When the model can't be read or is no Vision Transformer,
            or has no such block or stride.
        CheckpointError: When the file of weights does not fit the model.

    Example:
        >>> tiny = dict(model_type='dinov2', hidden_size=32, patch_size=8,
        ...             num_hidden_layers=2, num_attention_heads=2)
        >>> TransformersBackbone(tiny)(torch.rand(1, 3, 64, 96))[0].shape
        torch.Size([1, 32, 8, 12])
    """

    def __init__(
        self,
        model: Union[str, dict],
        out_indices: Union[int, Sequence[int]] = -1,
        norm: bool = True,
        facet: str = 'token',
        patch_stride: Optional[int] = None,
        download: bool = False,
        init_cfg: Optional[dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        name = model if isinstance(model, str) else model.get('model_type')
        self.title = f'TransformersBackbone {name}'
        check_facet(self.title, facet)
        self.body, path = _create(self.title, model, download)
        # mmengine calls the init_weights of whatever has it and is not yet
        # initialised: this one would draw new ones over those of the files.
        self.body.is_init = True
        projection, blocks = _find_parts(self.title, self.body)
        self.out_indices = choose_blocks(self.title, out_indices, len(blocks))
        del blocks[max(self.out_indices) + 1 :]
        self.facet = facet
        self.norm = norm and facet == 'token'
        self.multiple = patch_stride or projection.kernel_size[0]
        if patch_stride is not None:
            refine_patches(self.title, projection, patch_stride)
            _set_patch_size(self.body, patch_stride)
        if path is not None:
            load_backbone(self, path)

    @property
    def primary(self) -> nn.Module:
        """The model itself: files of weights have its plain names."""
        return self.body

    def check_size(self, size: Sequence[int]) -> None:
        """Refuse images that the patches do not divide.

        Args:
            size: ``(H, W)``.

        Raises:
            ValueError: With what to set.
        """
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
        _, blocks = _find_parts(self.title, self.body)
        watched = [blocks[index] for index in self.out_indices]
        if self.facet != 'token':
            watched = [_linear_of(block, self.facet) for block in watched]
        options = {}
        # Where it isn't an option, the model does so anyway.
        option = 'interpolate_pos_encoding'
        if option in inspect.signature(self.body.forward).parameters:
            options[option] = True
        with recorded(watched) as seen:
            self.body(x, **options)
        grid = tuple(side // self.multiple for side in x.shape[2:])
        norm = _norm_of(self.body) if self.norm else nn.Identity()
        # Blocks of older versions return a tuple.
        outputs = [o[0] if isinstance(o, tuple) else o for _, o in seen]
        return tuple(tokens_to_map(norm(tokens), grid) for tokens in outputs)


def _create(
    title: str, model: Union[str, dict], download: bool
) -> Tuple[nn.Module, Optional[str]]:
    """Build a model at random, and find the file of its weights, if any."""
    try:
        from transformers import AutoConfig, AutoModel
        from transformers.utils import cached_file
    except ImportError:
        raise ImportError(
            f"{title} needs transformers: pip install 'hvc_mm[transformers]'"
        ) from None
    path = None
    try:
        if isinstance(model, str):
            options = dict(local_files_only=not download)
            config = AutoConfig.from_pretrained(model, **options)
            path = cached_file(model, 'model.safetensors', **options)
        else:
            config = AutoConfig.for_model(**model)
    except Exception as error:  # whatever its readers and the hub raise
        reason = ' '.join(str(error).split())
        raise ValueError(
            f'{title}: {_expectation(model, download)}; found '
            f'{type(error).__name__}: {reason:.200}'
        ) from error
    # A config may ask for float16.
    network = AutoModel.from_config(config).float()
    return _without_pooler(network), path


def _expectation(model: Union[str, dict], download: bool) -> str:
    if not isinstance(model, str):
        return 'expected the config of a known model_type'
    if osp.isdir(model):
        return 'expected a folder with config.json and model.safetensors'
    if download:
        return 'expected a folder, or a name on the hub and a connection'
    return (
        'expected a folder with config.json and model.safetensors, or a name '
        'on the hub that is in the local cache (download=True fetches it)'
    )


def _without_pooler(network: nn.Module) -> nn.Module:
    """Drop what some models make of the class token: no map needs it."""
    if getattr(network, 'pooler', None) is not None:
        network.pooler = None
    return network


def _find_parts(
    title: str, network: nn.Module
) -> Tuple[nn.Conv2d, nn.ModuleList]:
    """Find the patch embedding and the blocks, whatever they are called.

    Raises:
        ValueError: When the model isn't made of them.
    """
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    lists = [m for m in network.modules() if isinstance(m, nn.ModuleList)]
    is_vit = len(convolutions) == 1 and len(lists) == 1
    # A masked autoencoder drops and shuffles patches.
    if not is_vit or hasattr(network.config, 'mask_ratio'):
        raise ValueError(
            f'{title}: a {type(network).__name__} does not keep a token for '
            'each patch; expected a Vision Transformer such as dinov2, '
            'dinov3_vit or vit (pyramids: TimmBackbone)'
        )
    return convolutions[0], lists[0]


def _linear_of(block: nn.Module, facet: str) -> nn.Module:
    found = [
        module
        for name, module in block.named_modules()
        if name.rpartition('.')[2] in _LINEARS[facet]
    ]
    if len(found) != 1:
        raise ValueError(
            f'{type(block).__name__} has no linear layer of the facet '
            f"{facet!r} ({' or '.join(_LINEARS[facet])}); expected 'token'"
        )
    return found[0]


def _norm_of(network: nn.Module) -> nn.Module:
    for name, module in network.named_modules():
        if name.rpartition('.')[2] in _NORMS:
            return module
    return nn.Identity()


def _set_patch_size(network: nn.Module, stride: int) -> None:
    """Let a model compute its grid, and position embeddings, by a stride."""
    for part in (network.config, *network.modules()):
        old = getattr(part, 'patch_size', None)
        if old is not None:
            is_pair = isinstance(old, (tuple, list))
            part.patch_size = (stride, stride) if is_pair else stride
