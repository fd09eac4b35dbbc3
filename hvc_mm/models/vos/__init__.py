"""Video object segmentation by label propagation."""

from .joint_codec import JointCodec
from .label_propagation_vos import LabelPropagationVOS
from .label_propagator import LabelPropagator
from .mask_codec import MaskCodec, PartCodec
from .propagation import propagate
from .video_stream import VideoStream

__all__ = [
    'JointCodec',
    'LabelPropagationVOS',
    'LabelPropagator',
    'MaskCodec',
    'PartCodec',
    'VideoStream',
    'propagate',
]
