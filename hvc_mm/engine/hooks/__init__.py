"""Hooks."""

from .epoch_seed_hook import EpochSeedHook
from .fuse_conv_bn_hook import FuseConvBNHook
from .main_process_logger_hook import MainProcessLoggerHook
from .paired_views_visualization_hook import PairedViewsVisualizationHook
from .protocol_log_hook import ProtocolLogHook
from .resume_hook import ResumeHook
from .time_budget_hook import TimeBudgetHook
from .vos_validation_hook import VOSValidationHook
from .vos_visualization_hook import VOSVisualizationHook
from .whole_checkpoint_hook import WholeCheckpointHook

__all__ = [
    'EpochSeedHook',
    'FuseConvBNHook',
    'MainProcessLoggerHook',
    'PairedViewsVisualizationHook',
    'ProtocolLogHook',
    'ResumeHook',
    'TimeBudgetHook',
    'VOSValidationHook',
    'VOSVisualizationHook',
    'WholeCheckpointHook',
]
