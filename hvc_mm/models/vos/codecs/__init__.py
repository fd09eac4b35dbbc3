"""Label codecs: what a benchmark annotates <-> planes that are propagated."""

from .joint_codec import JointCodec
from .mask_codec import MaskCodec
from .part_codec import PartCodec

__all__ = ['JointCodec', 'MaskCodec', 'PartCodec']
