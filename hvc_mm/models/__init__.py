"""Models: backbones, HVC pre-training, label propagation."""

from .backbones import (
    FeatureEnsemble,
    HVCResNet,
    TimmBackbone,
    TorchvisionBackbone,
    TransformersBackbone,
)
from .data_preprocessors import (
    PairedViewsDataPreprocessor,
    VOSDataPreprocessor,
)
from .heads import PseudoFlowHead
from .losses import (
    HybridCorrespondenceLoss,
    dense_hybrid_loss,
    hybrid_correspondence_loss,
)
from .necks import ConvProjector
from .selfsup import HVC, CosineMomentumTarget, WithHVCLoss
from .vos import (
    JointCodec,
    LabelPropagationVOS,
    LabelPropagator,
    MaskCodec,
    PartCodec,
    propagate,
)

__all__ = [
    'ConvProjector',
    'CosineMomentumTarget',
    'FeatureEnsemble',
    'HVC',
    'HVCResNet',
    'HybridCorrespondenceLoss',
    'JointCodec',
    'LabelPropagationVOS',
    'LabelPropagator',
    'MaskCodec',
    'PairedViewsDataPreprocessor',
    'PartCodec',
    'PseudoFlowHead',
    'TimmBackbone',
    'TorchvisionBackbone',
    'TransformersBackbone',
    'VOSDataPreprocessor',
    'WithHVCLoss',
    'dense_hybrid_loss',
    'hybrid_correspondence_loss',
    'propagate',
]
