"""Self-supervised pre-training."""

from .hvc import HVC, HybridStep
from .momentum_target import CosineMomentumTarget
from .with_hvc_loss import HVCAuxiliaryLoss, WithHVCLoss

__all__ = [
    'HVC',
    'CosineMomentumTarget',
    'HVCAuxiliaryLoss',
    'HybridStep',
    'WithHVCLoss',
]
