"""Config files, hooks and optimizer wrappers of a run."""

from hvc_mm.checkpoint import allow_checkpoint_classes

# Also makes `_base_ = 'hvc_mm::...'` known to mmengine.
from .config_file import find_config, load_config
from .hooks import (
    EpochSeedHook,
    MainProcessLoggerHook,
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
    'MainProcessLoggerHook',
    'PairedViewsVisualizationHook',
    'ProtocolLogHook',
    'TimeBudgetHook',
    'VOSValidationHook',
    'VOSVisualizationHook',
    'allow_checkpoint_classes',
    'find_config',
    'load_config',
]
