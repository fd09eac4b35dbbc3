import random
from types import SimpleNamespace

import numpy as np
import torch

from hvc_mm.engine import EpochSeedHook


def _draw(seed, epoch):
    runner = SimpleNamespace(seed=seed, epoch=epoch)
    EpochSeedHook().before_train_epoch(runner)
    return random.random(), np.random.rand(), torch.rand(1).item()


def test_repeats_by_seed_and_epoch_only():
    first = _draw(42, 3)
    np.random.rand(10)
    assert _draw(42, 3) == first
    others = [_draw(42, 4), _draw(43, 3), _draw(43, 2)]
    for other in others:
        assert not set(other) & set(first)
