"""A small HVC as it trains, and a batch for it."""

import numpy as np
import pytest
import torch

from hvc_mm.registry import MODELS
from hvc_mm.structures import PairedViewSample


@pytest.fixture
def model(hvc_cfg):
    torch.manual_seed(0)
    return MODELS.build(hvc_cfg).train()


@pytest.fixture
def batch():
    """Two views of three samples, and the samples."""
    torch.manual_seed(1)
    views = [torch.randn(3, 3, 32, 32) for _ in range(2)]
    rng = np.random.default_rng(1)
    samples = []
    for _ in range(3):
        low = rng.uniform(0, 0.3, (2, 2))
        boxes = np.hstack([low, low + rng.uniform(0.3, 0.7, (2, 2))])
        box1, box2 = boxes.astype(np.float32)
        samples.append(PairedViewSample(metainfo=dict(box1=box1, box2=box2)))
    return views, samples
