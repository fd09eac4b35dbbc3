"""Video object segmentation by label propagation."""

from .codecs import MaskCodec
from .label_propagation_vos import LabelPropagationVOS
from .label_propagator import LabelPropagator
from .propagation import propagate

__all__ = [
    'LabelPropagationVOS',
    'LabelPropagator',
    'MaskCodec',
    'propagate',
]
