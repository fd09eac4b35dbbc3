"""Pictures of what was propagated."""

from .vos_local_visualizer import VOSLocalVisualizer, overlay_ids

__all__ = ['VOSLocalVisualizer', 'overlay_ids']
