"""Worker seeds: new in every epoch, the same when an epoch is repeated."""

import random

import numpy as np
import torch
from mmengine.registry import FUNCTIONS as ROOT_FUNCTIONS
from torch.utils.data import DataLoader, Dataset

from hvc_mm.datasets import seed_worker


class Draws(Dataset):
    """Items are random numbers of both generators."""

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return np.random.randint(1 << 30), random.randrange(1 << 30)


def _epoch(loader, seed):
    torch.manual_seed(seed)
    return [tuple(int(x) for x in item) for item in loader]


def test_an_epoch_repeats_exactly_and_others_differ():
    loader = DataLoader(
        Draws(), batch_size=None, num_workers=2, worker_init_fn=seed_worker
    )
    first, again, other = (_epoch(loader, seed) for seed in (1, 1, 2))
    assert first == again
    assert not set(first) & set(other)
    # Neither do the two workers of one epoch draw the same.
    assert len(set(first)) == 8


def test_ranks_differ_for_one_torch_seed(monkeypatch):
    drawn = []
    for rank in ('0', '1'):
        monkeypatch.setenv('RANK', rank)
        torch.manual_seed(3)
        seed_worker(0)
        drawn.append((np.random.randint(1 << 30), random.random()))
    assert drawn[0][0] != drawn[1][0] and drawn[0][1] != drawn[1][1]


def test_found_by_name_from_other_projects():
    assert ROOT_FUNCTIONS.get('hvc_mm.seed_worker') is seed_worker
