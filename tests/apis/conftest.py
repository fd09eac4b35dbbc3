"""A network of a few layers."""

import pytest
import torch

from hvc_mm.apis import init_model


@pytest.fixture
def tiny_model(tiny_cfg):
    """The network, with weights that are random but always the same."""
    torch.manual_seed(0)
    with pytest.warns(UserWarning, match='random'):
        return init_model(tiny_cfg, device='cpu')
