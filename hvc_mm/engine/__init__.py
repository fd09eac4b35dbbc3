"""What a run needs beside models and data."""

from hvc_mm.checkpoint import allow_checkpoint_classes

from .hooks import (
    EpochSeedHook,
    PairedViewsVisualizationHook,
    ProtocolLogHook,
    TimeBudgetHook,
    VOSVisualizationHook,
)
from .optim_wrappers import BF16OptimWrapper

# Where a run is built from a config alone this import is the first moment
# at which hvc_mm takes part; it comes before any checkpoint is read.
allow_checkpoint_classes()

__all__ = [
    'BF16OptimWrapper',
    'EpochSeedHook',
    'PairedViewsVisualizationHook',
    'ProtocolLogHook',
    'TimeBudgetHook',
    'VOSVisualizationHook',
    'allow_checkpoint_classes',
]
