"""Label codecs: what a benchmark annotates <-> planes that are propagated."""

from .mask_codec import MaskCodec

__all__ = ['MaskCodec']
