"""Batch norms folded into the convolutions before them, for testing.

In eval mode a batch norm scales and shifts each channel by constants, which
the weights and the bias of the convolution before it can hold as well:
one pass over the map less. Features stay the same but for rounding.
"""

from __future__ import annotations

import copy
from itertools import chain
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import torch
from mmengine.logging import print_log
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

# Height and width of the image that a folded network is tried on.
_PROBE = 64
# Largest difference on it, of the largest value. Both networks are in
# float64 there, but parts that normalise features do so in fp32.
_TOLERANCE = 1e-5


def fold_batch_norm(backbone: nn.Module) -> nn.Module:
    """Make a copy of a backbone with its batch norms folded.

    mmcv's ``fuse_conv_bn`` takes a batch norm to belong to the convolution
    that was registered before it. That is so in all usual networks, but
    nothing makes sure of it: the copy is tried on an image of noise.

    Args:
        backbone: It is left as it is.

    Returns:
        A network in eval mode, of the same device and type; its state dict
        has other names. Without a batch norm it is the backbone itself.

    Raises:
        ValueError: When the folded network's maps differ.
    """
    # Imported late: few need it.
    from mmcv.cnn import fuse_conv_bn

    count = _batch_norms(backbone)
    if not count:
        print_log('no batch norm to fold', logger='current')
        return backbone
    weights = [p for p in backbone.parameters() if p.is_floating_point()]
    # In float64 folding adds no rounding of its own, and on a CPU there is
    # no TF32 to blur the comparison.
    plain = copy.deepcopy(backbone).to('cpu', torch.float64)
    # mmdet's train() and eval() return nothing.
    plain.eval()
    image = torch.randn(1, 3, _PROBE, _PROBE, dtype=torch.float64)
    with torch.no_grad():
        expected = _maps(plain(image))
        folded = fuse_conv_bn(plain)
        found = _maps(folded(image))
    for one, other in zip(expected, found):
        error = float((one - other).abs().max() / one.abs().max())
        if not error <= _TOLERANCE:
            raise ValueError(
                f'{type(backbone).__name__}: with its batch norms folded '
                f'its maps differ by {error:.1g} of the largest value, '
                'expected rounding alone; it must be tested without '
                'fold_batch_norm'
            )
    left = _batch_norms(folded)
    print_log(f'{count - left} of {count} batch norms folded', 'current')
    folded.requires_grad_(False)
    return folded.to(weights[0].device, weights[0].dtype)


class FoldedCopy:
    """Keeps a folded copy of a backbone beside it, up to date.

    The copy is made when it is first asked for, and again after the
    backbone's weights were loaded, changed or moved. It is no submodule: a
    model that has one saves and loads the backbone's own weights.
    """

    def __init__(self) -> None:
        self._state: Optional[List[Tuple[int, int]]] = None
        self._network: Optional[nn.Module] = None

    def of(self, backbone: nn.Module) -> nn.Module:
        """Give the folded copy of the backbone as it is now."""
        tensors = chain(backbone.parameters(), backbone.buffers())
        # torch counts every change that is made in place.
        state = [(t.data_ptr(), t._version) for t in tensors]
        if state != self._state:
            self._network = fold_batch_norm(backbone)
            self._state = state
        return self._network

    def __deepcopy__(self, memo: Dict[int, Any]) -> FoldedCopy:
        """A copied model folds its own backbone."""
        return FoldedCopy()


def _batch_norms(network: nn.Module) -> int:
    return sum(isinstance(m, _BatchNorm) for m in network.modules())


def _maps(output: Union[Tensor, Sequence[Tensor]]) -> Sequence[Tensor]:
    return (output,) if isinstance(output, Tensor) else output
