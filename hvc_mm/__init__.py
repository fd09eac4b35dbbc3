"""hvc_mm: Hybrid Visual Correspondence for OpenMMLab."""

from .utils.dependencies import check_dependencies
from .version import __version__

# Before anything here imports torch, mmengine or mmcv: a missing or clashing
# one is reported with the line that mends it, not by a traceback from inside.
check_dependencies()

__all__ = ['__version__']
