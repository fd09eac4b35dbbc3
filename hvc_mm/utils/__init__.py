"""Helpers. `import hvc_mm` runs this file: nothing here may import torch.

Modules that do (or mmengine, mmcv) are imported by their own name.
"""

from .dependencies import check_dependencies, diagnose, installed_versions
from .setup_env import register_all_modules

__all__ = [
    'check_dependencies',
    'diagnose',
    'installed_versions',
    'register_all_modules',
]
