"""hvc_mm: Hybrid Visual Correspondence for OpenMMLab."""

from .utils import check_dependencies
from .version import __version__

# Before anything here imports torch, mmengine or mmcv: a missing or clashing
# one is reported with the line that fixes it, not by a traceback from inside.
check_dependencies()

__all__ = ['__version__']
