"""A network of a few layers, and a second object."""

import numpy as np
import pytest
import torch

from hvc_mm.apis import init_model


@pytest.fixture
def tiny_model(tiny_cfg):
    """The network, with weights that are random but always the same."""
    torch.manual_seed(0)
    with pytest.warns(UserWarning, match='random'):
        return init_model(tiny_cfg, device='cpu')


@pytest.fixture
def late_mask(moving_square):
    """Object 5 in the lower right corner, from frame 3 on."""
    ids = np.zeros_like(moving_square[1][0])
    ids[36:46, 44:60] = 5
    return ids
