"""Small data sets in the official layouts, made from a few photographs."""

from .layouts import LAYOUTS, write_layout
from .output import SampleFolder, SampleSpec

__all__ = ['LAYOUTS', 'SampleFolder', 'SampleSpec', 'write_layout']
