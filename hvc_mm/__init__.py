"""hvc_mm: Hybrid Visual Correspondence for OpenMMLab."""

from .version import __version__

__all__ = ['__version__']
