"""Hooks."""

from .epoch_seed_hook import EpochSeedHook
from .paired_views_visualization_hook import PairedViewsVisualizationHook
from .protocol_log_hook import ProtocolLogHook
from .time_budget_hook import TimeBudgetHook
from .vos_visualization_hook import VOSVisualizationHook

__all__ = [
    'EpochSeedHook',
    'PairedViewsVisualizationHook',
    'ProtocolLogHook',
    'TimeBudgetHook',
    'VOSVisualizationHook',
]
