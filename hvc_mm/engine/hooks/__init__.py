"""Hooks."""

from .epoch_seed_hook import EpochSeedHook
from .paired_views_visualization_hook import PairedViewsVisualizationHook
from .protocol_log_hook import ProtocolLogHook
from .vos_visualization_hook import VOSVisualizationHook

__all__ = [
    'EpochSeedHook',
    'PairedViewsVisualizationHook',
    'ProtocolLogHook',
    'VOSVisualizationHook',
]
