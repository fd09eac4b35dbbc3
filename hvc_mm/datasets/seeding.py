"""Random numbers of data loading that can be repeated."""

from __future__ import annotations

import os
import random

import numpy as np
import torch

from hvc_mm.registry import FUNCTIONS


@FUNCTIONS.register_module()
def seed_worker(worker_id: int) -> None:
    """Seed numpy and ``random`` in a data loader's worker from torch.

    torch gives each worker the seed ``base + worker_id``, where ``base`` is
    drawn from the main process' generator whenever workers are started. So
    two epochs differ, unlike with a fixed seed for each worker, and an epoch
    repeats exactly when the main process' torch generator is seeded with the
    same number before it. That needs workers which are started for every
    epoch (``persistent_workers=False``). The rank is mixed in, because all
    ranks may draw the same ``base``.

    Use it in a config as
    ``worker_init_fn=dict(type='hvc_mm.seed_worker')``.

    Args:
        worker_id: The worker's number; torch's seed holds it already.
    """
    seed = [torch.initial_seed() % 2**64, int(os.environ.get('RANK', 0))]
    state = np.random.SeedSequence(seed).generate_state(2)
    np.random.seed(state[0])
    random.seed(int(state[1]))
