"""A small HVC and a batch for it."""

import copy

import numpy as np
import pytest
import torch

from hvc_mm.structures import PairedViewSample

CONFIG = dict(
    type='hvc_mm.HVC',
    backbone=dict(type='HVCResNet', depth=18, out_indices=(1,)),
    projector=dict(
        type='ConvProjector',
        in_channels=128,
        hidden_channels=16,
        out_channels=8,
    ),
    predictor=dict(
        type='ConvProjector',
        in_channels=8,
        hidden_channels=16,
        out_channels=8,
    ),
    flow_head=dict(type='PseudoFlowHead', in_channels=8, hidden_channels=6),
    loss=dict(type='HybridCorrespondenceLoss', pos_radius=0.5),
    target=dict(type='CosineMomentumTarget', total_steps=10),
    data_preprocessor=dict(mean=[0.0, 0.0, 0.0], std=[1.0, 1.0, 1.0]),
)


@pytest.fixture
def hvc_config():
    """The model's config; a copy, to be changed at will."""
    return copy.deepcopy(CONFIG)


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
        boxes = boxes.astype(np.float32)
        samples.append(
            PairedViewSample(metainfo=dict(box1=boxes[0], box2=boxes[1]))
        )
    return views, samples
