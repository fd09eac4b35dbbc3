"""ResNet as HVC uses it: torchvision's blocks, free strides.

Shapes: N batch, H W image, h w feature grid, C channels of a stage.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Dict, Mapping, Optional, Sequence, Tuple, Union

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision.models.resnet import BasicBlock, Bottleneck, conv1x1

from hvc_mm.checkpoint import compare
from hvc_mm.registry import MODELS

ARCHITECTURES = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
}


@MODELS.register_module()
class HVCResNet(BaseModule):
    """ResNet with torchvision's blocks and parameter names.

    With the default strides a 256x256 image gives a 32x32 grid from stage
    2 (``out_indices=1``) on, so layer3 (``out_indices=2``), which label
    propagation reads, and layer4, which pre-training reads, are both at
    stride 8. Nothing is dilated. Stages after the last one in
    ``out_indices`` are not built. State dicts of torchvision, MoCo, the HVC
    release and mmdet's ``ResNet`` load by name.

    Convolutions start He-normal (fan-out) and the last batch norm of every
    residual block at zero, as in HVC's recipe.

    Args:
        depth: 18, 34, 50 or 101.
        strides: Stride of the first block of stages 1 to 4. HVC takes
            ``(1, 2, 1, 1)``; detectors want ``(1, 2, 2, 2)``.
        out_indices: Stages to return, 0 for layer1 to 3 for layer4.
        frozen_stages: -1 freezes nothing, 0 the stem, k the stem and the
            first k stages (no gradient, batch norms in eval mode).
        norm_eval: Keep every batch norm in eval mode while training.
        padding_mode: Of every padded convolution; weights of CRW want
            ``'reflect'``.
        style: ``'pytorch'`` has the stride of a bottleneck in its 3x3
            convolution, ``'caffe'`` in its first 1x1.
        init_cfg: mmengine's, e.g. ``dict(type='Pretrained', ...)``.

    Raises:
        ValueError: For values outside of those named above.
    """

    def __init__(
        self,
        depth: int = 18,
        strides: Sequence[int] = (1, 2, 1, 1),
        out_indices: Union[int, Sequence[int]] = (3,),
        frozen_stages: int = -1,
        norm_eval: bool = False,
        padding_mode: str = 'zeros',
        style: str = 'pytorch',
        init_cfg: Optional[dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        if isinstance(out_indices, int):
            out_indices = (out_indices,)
        _check_arguments(depth, strides, out_indices, frozen_stages, style)
        block, block_counts = ARCHITECTURES[depth]
        self.depth = depth
        self.out_indices = tuple(out_indices)
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval

        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        in_channels, self.stage_names = 64, []
        stage_channels = []
        for stage in range(max(out_indices) + 1):
            layer, in_channels = _make_stage(
                block,
                in_channels,
                64 * 2**stage,
                block_counts[stage],
                strides[stage],
                style,
            )
            self.stage_names.append(f'layer{stage + 1}')
            self.add_module(self.stage_names[-1], layer)
            stage_channels.append(in_channels)
        self.out_channels = tuple(stage_channels[i] for i in self.out_indices)
        self._set_padding_mode(padding_mode)
        self._reset_parameters()
        self._freeze()

    def _set_padding_mode(self, padding_mode: str) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and max(module.padding) > 0:
                module.padding_mode = padding_mode

    def _reset_parameters(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(
                    module.weight, mode='fan_out', nonlinearity='relu'
                )
            elif isinstance(module, BasicBlock):
                nn.init.zeros_(module.bn2.weight)
            elif isinstance(module, Bottleneck):
                nn.init.zeros_(module.bn3.weight)

    def _frozen_modules(self):
        if self.frozen_stages < 0:
            return []
        stages = self.stage_names[: self.frozen_stages]
        return [self.conv1, self.bn1] + [getattr(self, n) for n in stages]

    def _freeze(self) -> None:
        for module in self._frozen_modules():
            module.requires_grad_(False)

    def train(self, mode: bool = True) -> HVCResNet:
        """Set the mode; frozen and ``norm_eval`` batch norms stay in eval."""
        super().train(mode)
        if mode:
            for module in self._frozen_modules():
                module.eval()
            if self.norm_eval:
                for module in self.modules():
                    if isinstance(module, _BatchNorm):
                        module.eval()
        return self

    def forward(self, x: Tensor) -> Tuple[Tensor, ...]:
        """Compute the maps of the chosen stages.

        Args:
            x: Normalised images, ``(N, 3, H, W)``.

        Returns:
            One ``(N, C, h, w)`` map per entry of ``out_indices``.
        """
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        outputs = {}
        for index, name in enumerate(self.stage_names):
            x = getattr(self, name)(x)
            outputs[index] = x
        return tuple(outputs[index] for index in self.out_indices)


def _make_stage(
    block, in_channels: int, planes: int, count: int, stride: int, style: str
) -> Tuple[nn.Sequential, int]:
    """Stack ``count`` blocks; the first takes the stride and the shortcut."""
    out_channels = planes * block.expansion
    shortcut = None
    if stride != 1 or in_channels != out_channels:
        shortcut = nn.Sequential(
            conv1x1(in_channels, out_channels, stride),
            nn.BatchNorm2d(out_channels),
        )
    first = block(in_channels, planes, stride, shortcut)
    if style == 'caffe' and block is Bottleneck:
        first.conv1.stride, first.conv2.stride = first.conv2.stride, (1, 1)
    rest = [block(out_channels, planes) for _ in range(count - 1)]
    return nn.Sequential(first, *rest), out_channels


def _check_arguments(depth, strides, out_indices, frozen_stages, style):
    if depth not in ARCHITECTURES:
        raise ValueError(
            f'HVCResNet: depth {depth}, expected one of {list(ARCHITECTURES)}'
        )
    if not out_indices or not all(0 <= i <= 3 for i in out_indices):
        raise ValueError(
            f'HVCResNet: out_indices {tuple(out_indices)}, expected stages '
            'between 0 (layer1) and 3 (layer4)'
        )
    if len(strides) < max(out_indices) + 1:
        raise ValueError(
            f'HVCResNet: {len(strides)} strides {tuple(strides)} for '
            f'{max(out_indices) + 1} stages'
        )
    if not -1 <= frozen_stages <= max(out_indices) + 1:
        raise ValueError(
            f'HVCResNet: frozen_stages {frozen_stages}, expected -1 (none) to '
            f'{max(out_indices) + 1}, the stages that are built'
        )
    if style not in ('pytorch', 'caffe'):
        raise ValueError(
            f"HVCResNet: style {style!r}, expected 'pytorch' or 'caffe'"
        )


def guess_resnet(tensors: Mapping[str, Tensor]) -> Tuple[int, int]:
    """Guess which ResNet a state dict is from.

    Args:
        tensors: By torchvision's names; some may be missing.

    Returns:
        The depth, and the number of stages, 1 to 4, that there are. Of two
        depths that fit equally well it is the smaller one.
    """
    stages = sum(
        any(name.startswith(f'layer{stage}.') for name in tensors)
        for stage in (1, 2, 3, 4)
    )
    return max(ARCHITECTURES, key=lambda d: _fit(tensors, d, stages)), stages


def _fit(tensors: Mapping[str, Tensor], depth: int, stages: int) -> int:
    """Count the tensors that are there less those that are missing."""
    expected = resnet_shapes(depth, stages)
    matching, _ = compare(tensors, expected)
    return 2 * len(matching) - len(expected)


@lru_cache(maxsize=None)
def resnet_shapes(depth: int, stages: int) -> Dict[str, Tensor]:
    """Get the state dict of a ResNet without memory behind its tensors.

    Args:
        depth: 18, 34, 50 or 101.
        stages: How many are built, 1 to 4.

    Returns:
        Tensors on the device ``meta``, by name.
    """
    with torch.device('meta'):
        return HVCResNet(depth, out_indices=(stages - 1,)).state_dict()
