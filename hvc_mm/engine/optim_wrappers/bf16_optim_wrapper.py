"""Mixed precision in bfloat16, on a CPU too."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Iterator

import torch
from mmengine.optim import OptimWrapper
from torch import nn

from hvc_mm.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class BF16OptimWrapper(OptimWrapper):
    """Autocast to bfloat16 without a loss scaler.

    bfloat16 has the exponent range of fp32, so gradients need no scaling;
    mmengine's ``AmpOptimWrapper`` always scales and refuses a CPU. Arguments
    are those of :class:`mmengine.optim.OptimWrapper`.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Run a forward pass under autocast, on the model's device.

        Args:
            model: The model in training (plain or wrapped).
        """
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(
            device, dtype=torch.bfloat16
        ):
            yield
