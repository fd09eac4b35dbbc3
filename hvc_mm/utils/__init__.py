"""Helpers. `import hvc_mm` runs this file: nothing here may import torch.

Modules that do (or mmengine, mmcv) are imported by their own name.
"""

from .environment import check_dependencies
from .registration import register_all_modules

__all__ = ['check_dependencies', 'register_all_modules']
