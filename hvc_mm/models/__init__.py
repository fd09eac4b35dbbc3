"""Models: backbones, HVC pre-training, label propagation."""

from .backbones import FeatureEnsemble, HVCResNet, TorchvisionBackbone
from .data_preprocessors import (
    PairedViewsDataPreprocessor,
    VOSDataPreprocessor,
)
from .heads import PseudoFlowHead
from .losses import *  # noqa: F401,F403
from .necks import ConvProjector
from .selfsup import HVC, CosineMomentumTarget, WithHVCLoss
from .vos import LabelPropagationVOS, LabelPropagator, MaskCodec, propagate

__all__ = [
    'ConvProjector',
    'CosineMomentumTarget',
    'FeatureEnsemble',
    'HVC',
    'HVCResNet',
    'LabelPropagationVOS',
    'LabelPropagator',
    'MaskCodec',
    'PairedViewsDataPreprocessor',
    'PseudoFlowHead',
    'TorchvisionBackbone',
    'VOSDataPreprocessor',
    'WithHVCLoss',
    'propagate',
]
