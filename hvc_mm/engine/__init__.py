"""Hooks and optimizer wrappers of a run."""

from hvc_mm.checkpoint import allow_checkpoint_classes

from .hooks import (
    EpochSeedHook,
    PairedViewsVisualizationHook,
    ProtocolLogHook,
    TimeBudgetHook,
    VOSValidationHook,
    VOSVisualizationHook,
)
from .optim_wrappers import BF16OptimWrapper

__all__ = [
    'BF16OptimWrapper',
    'EpochSeedHook',
    'PairedViewsVisualizationHook',
    'ProtocolLogHook',
    'TimeBudgetHook',
    'VOSValidationHook',
    'VOSVisualizationHook',
    'allow_checkpoint_classes',
]
