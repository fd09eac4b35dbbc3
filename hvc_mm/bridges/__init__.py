"""Parts that connect HVC to trackers of other OpenMMLab projects.

``mmdet`` and ``mmtrack`` here need these projects: a config names one of them
in ``custom_imports``.
"""

import warnings
from importlib import import_module

# Where the names went that this package had in 0.1.
_MOVED = {
    'HVCAuxiliaryLoss': 'hvc_mm.models.selfsup',
    'TorchvisionBackbone': 'hvc_mm.models.backbones',
    'WithHVCLoss': 'hvc_mm.models.selfsup',
}


def __getattr__(name: str) -> type:
    """Import a name that moved from its new place, with a warning."""
    if name not in _MOVED:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    warnings.warn(
        f'hvc_mm.bridges.{name} has moved: import it from {_MOVED[name]}',
        DeprecationWarning,
        stacklevel=2,
    )
    return getattr(import_module(_MOVED[name]), name)
