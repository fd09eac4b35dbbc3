"""Backbones: the ResNet of HVC, and several backbones as one."""

from .feature_ensemble import FeatureEnsemble
from .hvc_resnet import HVCResNet

__all__ = ['FeatureEnsemble', 'HVCResNet']
