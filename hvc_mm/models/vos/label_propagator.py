"""The propagator that models and tools use."""

from __future__ import annotations

from hvc_mm.registry import MODELS

from .dense_label_propagator import DenseLabelPropagator

__all__ = ['LabelPropagator']


@MODELS.register_module()
class LabelPropagator(DenseLabelPropagator):
    """Streaming label propagation."""
