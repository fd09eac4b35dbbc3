"""Random crops that a resumed run repeats exactly."""

from __future__ import annotations

import random

import numpy as np
import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner

from hvc_mm.registry import HOOKS


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seed the main process at the start of every training epoch.

    The data loader draws its workers' seeds from the main process
    (:func:`hvc_mm.datasets.seed_worker` seeds numpy with them), so with this
    hook the crops of an epoch depend on the run's seed, the epoch and the
    rank alone: a run that was killed and resumed sees the same crops as one
    that was not. Non-persistent workers, as in the base configs, are needed
    for it.
    """

    priority = 'VERY_HIGH'

    def before_train_epoch(self, runner: Runner) -> None:
        """Seed random, numpy and torch by the run's seed, epoch and rank."""
        step = runner.epoch * get_world_size() + get_rank()
        # A spread-out sequence, so that seed 1 at epoch 0 has nothing in
        # common with seed 0 at epoch 1.
        sequence = np.random.SeedSequence([runner.seed, step])
        seed = int(sequence.generate_state(1)[0])
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
