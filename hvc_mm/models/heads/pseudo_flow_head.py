"""Turn two feature maps into a "pseudo-dynamic" field.

N: samples, C: channels of one map, D: hidden channels, h w: feature grid.
"""

from __future__ import annotations

from typing import Optional, Tuple, Union

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from hvc_mm.registry import MODELS

from .two_way_flow import is_applicable, two_way_flow


@MODELS.register_module()
class PseudoFlowHead(BaseModule):
    """``bn2(conv2(relu(bn1(conv1(cat(query, key))))))`` with 1x1 convolutions.

    One head serves both directions, (query, key) and (key, query), and is
    trained with the online network (HVC, arXiv 2404.13505). The field that
    it returns is raw: the loss normalises it over its two channels.

    Args:
        in_channels: Channels C of one map; ``conv1`` takes twice as many.
        hidden_channels: Channels D between the convolutions.
        init_cfg: mmengine's initialisation; torch's default without it.

    Example:
        >>> head = PseudoFlowHead(256)
        >>> q, k = torch.rand(2, 256, 32, 32), torch.rand(2, 256, 32, 32)
        >>> head(q, k).shape
        torch.Size([2, 2, 32, 32])
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int = 256,
        init_cfg: Optional[Union[dict, list]] = None,
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels = in_channels
        self.conv1 = nn.Conv2d(2 * in_channels, hidden_channels, 1)
        self.bn1 = nn.BatchNorm2d(hidden_channels)
        self.conv2 = nn.Conv2d(hidden_channels, 2, 1)
        self.bn2 = nn.BatchNorm2d(2)

    def forward(self, query: Tensor, key: Tensor) -> Tensor:
        """Compute the field from query to key.

        Args:
            query: ``(N, C, h, w)``.
            key: ``(N, C, h, w)``.

        Returns:
            ``(N, 2, h, w)``, not normalised.

        Raises:
            ValueError: The maps differ in shape or have not C channels.
        """
        self._check(query, key)
        return self._finish(self.conv1(torch.cat([query, key], dim=1)))

    def forward_backward(
        self, query: Tensor, key: Tensor
    ) -> Tuple[Tensor, Tensor]:
        """Compute both directions for half of the first convolution's work.

        With ``conv1``'s weight in its halves ``W1, W2``, let
        ``s = (W1 + W2)/2 (q + k) + b`` and ``a = (W1 - W2)/2 (q - k)``.
        Then ``conv1(cat(q, k)) = s + a`` and ``conv1(cat(k, q)) = s - a``:
        two products of C x D instead of four.

        The batch norms see (query, key) first and (key, query) second, as
        two calls of :meth:`forward` would show them, so that their running
        statistics agree with the plain form.

        Args:
            query: ``(N, C, h, w)``.
            key: ``(N, C, h, w)``.

        Returns:
            ``forward(query, key)`` and ``forward(key, query)``, each
            ``(N, 2, h, w)``.

        Raises:
            ValueError: The maps differ in shape or have not C channels.
        """
        self._check(query, key)
        if is_applicable(query, self.bn1):
            there, back = two_way_flow(
                query, key, self.conv1, self.bn1, self.conv2
            )
            return self.bn2(there), self.bn2(back)
        weight_q, weight_k = self.conv1.weight.chunk(2, dim=1)
        even = F.conv2d(
            query + key, (weight_q + weight_k) / 2, self.conv1.bias
        )
        odd = F.conv2d(query - key, (weight_q - weight_k) / 2)
        return self._finish(even + odd), self._finish(even - odd)

    def _finish(self, hidden: Tensor) -> Tensor:
        """Apply what follows conv1, ``(N, D, h, w)`` -> ``(N, 2, h, w)``."""
        return self.bn2(self.conv2(F.relu(self.bn1(hidden))))

    def _check(self, query: Tensor, key: Tensor) -> None:
        if (
            query.dim() != 4
            or query.shape != key.shape
            or query.shape[1] != self.in_channels
        ):
            raise ValueError(
                'PseudoFlowHead: expected two maps of one shape '
                f'(N, {self.in_channels}, h, w), got '
                f'{tuple(query.shape)} and {tuple(key.shape)}'
            )
