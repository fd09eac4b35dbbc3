"""Self-supervised pre-training."""

from .hvc import HVC
from .momentum_target import CosineMomentumTarget

__all__ = ['HVC', 'CosineMomentumTarget']
