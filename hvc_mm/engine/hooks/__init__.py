"""Hooks."""

from .epoch_seed_hook import EpochSeedHook
from .fuse_conv_bn_hook import FuseConvBNHook
from .paired_views_visualization_hook import PairedViewsVisualizationHook
from .protocol_log_hook import ProtocolLogHook
from .time_budget_hook import TimeBudgetHook
from .vos_visualization_hook import VOSVisualizationHook

__all__ = [
    'EpochSeedHook',
    'FuseConvBNHook',
    'PairedViewsVisualizationHook',
    'ProtocolLogHook',
    'TimeBudgetHook',
    'VOSVisualizationHook',
]
