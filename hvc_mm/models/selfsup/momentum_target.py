"""The target network's parameters: a moving average with a cosine schedule."""

from __future__ import annotations

import math
from typing import Optional

import torch
from mmengine.logging import MessageHub
from mmengine.model import BaseAveragedModel
from torch import Tensor, nn

from hvc_mm.registry import MODELS
from hvc_mm.utils.compiling import not_compiled


@MODELS.register_module()
class CosineMomentumTarget(BaseAveragedModel):
    """Average parameters with a momentum that rises to 1 over the run.

    At update ``s`` of ``S``, ``m = 1 - (1 - base) (cos(pi s / S) + 1) / 2``
    and ``target <- m target + (1 - m) online`` (algorithm of BYOL, section
    3.1 of arXiv 2006.07733, with HVC's base of 0.99). The count ``s`` is the
    buffer ``steps``, which a checkpoint holds. Only parameters are averaged;
    unlike mmengine's averaged models this one leaves its own buffers alone,
    since the target runs in train mode and its batch norms keep statistics
    of their own.

    Args:
        model: The online network; it is copied.
        base_momentum: Momentum of the first update, in [0, 1].
        total_steps: ``S``. None, the default, takes the number of
            iterations of the mmengine run at hand.

    Raises:
        ValueError: For a ``base_momentum`` outside of [0, 1].
    """

    def __init__(
        self,
        model: nn.Module,
        base_momentum: float = 0.99,
        total_steps: Optional[int] = None,
    ) -> None:
        if not 0 <= base_momentum <= 1:
            raise ValueError(
                f'base_momentum is {base_momentum}, expected 0 to 1'
            )
        super().__init__(model)
        self.base_momentum = base_momentum
        self.total_steps = total_steps
        # A copy of `steps` on the host: reading the buffer each iteration
        # would make a GPU wait.
        self._host_steps: Optional[int] = None

    def momentum(self, step: int) -> float:
        """Give the momentum of an update.

        Args:
            step: Number of updates before this one.

        Returns:
            A value from ``base_momentum`` (step 0) to 1 (the last step).

        Raises:
            RuntimeError: When the run's length isn't known.
        """
        total = self.total_steps
        if total is None:
            total = MessageHub.get_current_instance().get_info('max_iters')
        if not total:
            raise RuntimeError(
                "the target's momentum depends on the length of the run, but "
                'no mmengine run is under way: set total_steps, e.g. '
                "target=dict(type='CosineMomentumTarget', total_steps=1000)"
            )
        # Beyond the end (a run prolonged by hand) the target stays as it is.
        progress = min(step / total, 1.0)
        decay = (1 - self.base_momentum) * (math.cos(math.pi * progress) + 1)
        return 1 - decay / 2

    # The momentum is another number with every step.
    @not_compiled
    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Move the parameters towards those of ``model``; count the step.

        Args:
            model: The online network, with the parameter names it had when
                it was copied. The first update copies it, so that weights
                loaded after construction reach the target.
        """
        if self._host_steps is None:
            self._host_steps = int(self.steps)
        source = dict(model.named_parameters())
        for name, averaged in self.avg_parameters.items():
            if self._host_steps == 0:
                averaged.copy_(source[name])
            else:
                self.avg_func(averaged, source[name], self._host_steps)
        self.steps += 1
        self._host_steps += 1

    def avg_func(
        self, averaged_param: Tensor, source_param: Tensor, steps: int
    ) -> None:
        """Average one parameter in place (mmengine's hook for subclasses).

        Args:
            averaged_param: Any shape ``(N, ...)``.
            source_param: The same shape.
            steps: Updates before this one.
        """
        momentum = self.momentum(int(steps))
        averaged_param.mul_(momentum).add_(source_param, alpha=1 - momentum)

    def _load_from_state_dict(self, *args, **kwargs) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._host_steps = None
