"""Video object segmentation by label propagation."""

from .codecs import MaskCodec
from .dense_label_propagator import DenseLabelPropagator
from .label_propagation_vos import LabelPropagationVOS
from .label_propagator import LabelPropagator
from .propagation import propagate

__all__ = [
    'DenseLabelPropagator',
    'LabelPropagationVOS',
    'LabelPropagator',
    'MaskCodec',
    'propagate',
]
