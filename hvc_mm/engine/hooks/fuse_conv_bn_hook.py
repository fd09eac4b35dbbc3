"""Test with batch norms fused into the convolutions before them.

In eval mode a batch norm scales and shifts each channel by constants, which
the weights and the bias of the convolution before it can hold as well: one
pass over the map less. Features stay the same but for rounding.
"""

from __future__ import annotations

import copy
from typing import Optional, Sequence, Union

import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hvc_mm.registry import HOOKS

# Height and width of the noise that a fused network is tried on: two cells
# at the largest usual stride, 32.
_PROBE = 64
# Largest difference on it, of the largest value. Both networks are in
# float64 there, but parts that normalise features do so in fp32.
_TOLERANCE = 1e-5


@HOOKS.register_module()
class FuseConvBNHook(Hook):
    """Let a test run on a fused copy of the model's backbone.

    The copy takes the backbone's place when all else is ready: weights are
    loaded, and whatever changes statistics before a test has done so. After
    the test the backbone is back.
    """

    # Run after all others before a test.
    priority = 'LOWEST'

    def __init__(self) -> None:
        self._backbone: Optional[nn.Module] = None

    def before_test_epoch(self, runner: Runner) -> None:
        """Put a fused copy in the backbone's place."""
        model = _unwrapped(runner.model)
        if hasattr(model, 'warm_up'):
            model.warm_up()
        self._backbone = model.backbone
        model.backbone = fused_copy(model.backbone)

    def after_test_epoch(
        self, runner: Runner, metrics: Optional[dict] = None
    ) -> None:
        """Put the backbone back."""
        _unwrapped(runner.model).backbone = self._backbone


def fused_copy(backbone: nn.Module) -> nn.Module:
    """Copy a backbone with its batch norms fused into its convolutions.

    mmcv's ``fuse_conv_bn`` takes a batch norm to belong to the convolution
    that was registered before it. That is so in all usual networks, but
    nothing makes sure of it: the copy is tried on an image of noise.

    Args:
        backbone: Takes ``(N, 3, H, W)``; it is left as it is.

    Returns:
        A network in eval mode, of the same device and type; its state dict
        has other names. Without a batch norm it is the backbone itself.

    Raises:
        ValueError: When the fused network's maps differ.
    """
    # Imported late: it loads mmcv's compiled operators, and few need it.
    from mmcv.cnn import fuse_conv_bn

    count = _count_batch_norms(backbone)
    if not count:
        print_log('no batch norm to fuse', logger='current')
        return backbone
    weights = [p for p in backbone.parameters() if p.is_floating_point()]
    # In float64 fusing adds no rounding of its own, and on a CPU there is
    # no TF32 to blur the comparison.
    plain = copy.deepcopy(backbone).to('cpu', torch.float64)
    # mmdet's train() and eval() return nothing.
    plain.eval()
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(1, 3, _PROBE, _PROBE, generator=generator).double()
    with torch.no_grad():
        expected = _maps(plain(image))
        fused = fuse_conv_bn(plain)
        found = _maps(fused(image))
    for one, other in zip(expected, found):
        error = float((one - other).abs().max() / one.abs().max())
        if not error <= _TOLERANCE:
            raise ValueError(
                f'{type(backbone).__name__}: with its batch norms fused its '
                f'maps differ by {error:.1g} of the largest value, expected '
                'rounding alone; test it without --fuse-conv-bn'
            )
    left = _count_batch_norms(fused)
    print_log(f'{count - left} of {count} batch norms fused', 'current')
    fused.requires_grad_(False)
    return fused.to(weights[0].device, weights[0].dtype)


def _unwrapped(model: nn.Module) -> nn.Module:
    return model.module if is_model_wrapper(model) else model


def _count_batch_norms(network: nn.Module) -> int:
    return sum(isinstance(m, _BatchNorm) for m in network.modules())


def _maps(output: Union[Tensor, Sequence[Tensor]]) -> Sequence[Tensor]:
    return (output,) if isinstance(output, Tensor) else output
