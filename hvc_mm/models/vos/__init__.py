"""vos of hvc_mm."""

from .dense_label_propagator import DenseLabelPropagator
from .label_propagator import LabelPropagator
from .propagation import propagate

__all__ = ['DenseLabelPropagator', 'LabelPropagator', 'propagate']
