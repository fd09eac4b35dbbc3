"""Backbones: HVC's ResNet, torchvision's networks, several as one."""

from .feature_ensemble import FeatureEnsemble, unit_features
from .hvc_resnet import HVCResNet
from .torchvision_backbone import TorchvisionBackbone

__all__ = [
    'FeatureEnsemble',
    'HVCResNet',
    'TorchvisionBackbone',
    'unit_features',
]
