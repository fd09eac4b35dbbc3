"""Any classification network of torchvision as a backbone.

Shapes: N batch, H W image, C channels and h w grid of a node's map.
"""

from __future__ import annotations

import copy
from typing import Any, Dict, Optional, Sequence, Tuple, Union

from mmengine.model import BaseModule
from torch import Tensor, nn
from torchvision.models import get_model, list_models
from torchvision.models.feature_extraction import (
    create_feature_extractor,
    get_graph_node_names,
)

from hvc_mm.registry import MODELS

from .feature_ensemble import check_grid


@MODELS.register_module()
class TorchvisionBackbone(BaseModule):
    """The maps of chosen nodes of a torchvision network.

    Nodes are found by torchvision's own feature extraction, so that any
    module inside the network can be one; what comes after the last of them
    is not built. Its state dict is that of the network, under ``body.``.

    Args:
        model: Name in torchvision, e.g. ``'resnet50'`` or
            ``'convnext_tiny'``.
        nodes: Name or names of modules or nodes whose maps to return, e.g.
            ``'layer3'``.
        weights: Name of torchvision's own weights, e.g.
            ``'IMAGENET1K_V1'`` (downloaded on first use); None starts at
            random.
        init_cfg: mmengine's.
        **options: For the network, e.g. ``replace_stride_with_dilation``.

    Raises:
        ValueError: When torchvision has no such network, or the network no
            such node.

    Example:
        >>> backbone = TorchvisionBackbone('resnet18', nodes='layer2')
        >>> backbone(torch.rand(1, 3, 64, 64))[0].shape
        torch.Size([1, 128, 8, 8])
    """

    def __init__(
        self,
        model: str,
        nodes: Union[str, Sequence[str]],
        weights: Optional[str] = None,
        init_cfg: Optional[dict] = None,
        **options,
    ) -> None:
        super().__init__(init_cfg)
        if model.lower() not in list_models():
            raise ValueError(
                f'TorchvisionBackbone: torchvision has no model {model!r}, '
                'torchvision.models.list_models() names them'
            )
        nodes = [nodes] if isinstance(nodes, str) else list(nodes)
        network = get_model(model, weights=weights, **options)
        try:
            self.body = create_feature_extractor(network, nodes)
        except ValueError:
            known, _ = get_graph_node_names(network)
            raise ValueError(
                f'TorchvisionBackbone: {model} has not all of the nodes '
                f'{nodes}; it has {", ".join(_abridged(known))}'
            ) from None
        self.nodes = nodes
        self._arguments = dict(model=model, nodes=nodes, **options)

    @property
    def primary(self) -> nn.Module:
        """The network itself: files of weights have its plain names."""
        return self.body

    def __deepcopy__(self, memo: Dict[int, Any]) -> TorchvisionBackbone:
        """Build it anew: an extractor's own copy forgets eval mode."""
        clone = type(self)(**self._arguments)
        memo[id(self)] = clone
        clone.init_cfg = copy.deepcopy(self.init_cfg, memo)
        for mine, copied in zip(self.parameters(), clone.parameters()):
            copied.data = mine.detach().clone()
            copied.requires_grad = mine.requires_grad
        for mine, copied in zip(self.buffers(), clone.buffers()):
            copied.data = mine.detach().clone()
        return clone.train(self.training)

    def forward(self, x: Tensor) -> Tuple[Tensor, ...]:
        """Compute the maps of the chosen nodes.

        Args:
            x: Normalised images, ``(N, 3, H, W)``.

        Returns:
            One ``(N, C, h, w)`` map per entry of ``nodes``.

        Raises:
            ValueError: When a node gives no map but, say, ``(N, C)``, or its
                grid does not fit the images (Swin has ``(N, h, w, C)``).
        """
        maps = self.body(x)
        for node, features in maps.items():
            if features.dim() != 4:
                raise ValueError(
                    f'TorchvisionBackbone: node {node!r} gives '
                    f'{tuple(features.shape)}, expected a map (N, C, h, w)'
                )
            check_grid(features.shape, tuple(x.shape[2:]))
        return tuple(maps[node] for node in self.nodes)


def _abridged(names: Sequence[str]) -> list:
    """Top two levels of the nodes' names, in their order."""
    return list(dict.fromkeys('.'.join(n.split('.')[:2]) for n in names))
