"""Hooks."""

from .epoch_seed_hook import EpochSeedHook
from .vos_visualization_hook import VOSVisualizationHook

__all__ = ['EpochSeedHook', 'VOSVisualizationHook']
