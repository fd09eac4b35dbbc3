"""Backbones: HVC's ResNet, networks of other libraries, several as one."""

from .feature_ensemble import FeatureEnsemble, unit_features
from .hvc_resnet import HVCResNet
from .timm_backbone import TimmBackbone
from .torchvision_backbone import TorchvisionBackbone
from .transformers_backbone import TransformersBackbone

__all__ = [
    'FeatureEnsemble',
    'HVCResNet',
    'TimmBackbone',
    'TorchvisionBackbone',
    'TransformersBackbone',
    'unit_features',
]
