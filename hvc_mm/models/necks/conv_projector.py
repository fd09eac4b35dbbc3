"""Projector and predictor of HVC: one form for both."""

from __future__ import annotations

from typing import Optional, Sequence, Union

from mmengine.model import BaseModule
from torch import Tensor, nn

from hvc_mm.registry import MODELS


@MODELS.register_module()
class ConvProjector(BaseModule):
    """Project cells by a residual stack of 1x1 convolutions.

    ``h = lrelu(bn1(conv1(x)))``, ``y = lrelu(bn2(conv2(h) + h))``,
    ``out = conv3(y)``, with LeakyReLU(0.01) and torch's default
    initialisation.

    Args:
        in_channels: Channels of the input map.
        hidden_channels: Channels inside.
        out_channels: Channels of the result.
        init_cfg: mmengine's.
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int = 256,
        out_channels: int = 256,
        init_cfg: Optional[dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        self.conv1 = nn.Conv2d(in_channels, hidden_channels, 1)
        self.bn1 = nn.BatchNorm2d(hidden_channels)
        self.conv2 = nn.Conv2d(hidden_channels, hidden_channels, 1)
        self.bn2 = nn.BatchNorm2d(hidden_channels)
        self.conv3 = nn.Conv2d(hidden_channels, out_channels, 1)
        self.act = nn.LeakyReLU(0.01)

    def forward(self, x: Union[Tensor, Sequence[Tensor]]) -> Tensor:
        """Project every cell.

        Args:
            x: ``(N, in_channels, h, w)``, or a backbone's tuple of maps, of
                which the last one is taken.

        Returns:
            ``(N, out_channels, h, w)``, not normalised.
        """
        if not isinstance(x, Tensor):
            x = x[-1]
        hidden = self.act(self.bn1(self.conv1(x)))
        hidden = self.act(self.bn2(self.conv2(hidden) + hidden))
        return self.conv3(hidden)
