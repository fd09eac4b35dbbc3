"""Parts that connect HVC to other OpenMMLab projects.

``mmtrack`` here needs MMTracking: a config names it in ``custom_imports``.
The others need none of these projects.
"""

import warnings
from importlib import import_module

from .auxiliary_loss import HVCAuxiliaryLoss
from .with_hvc_loss import WithHVCLoss

__all__ = ['HVCAuxiliaryLoss', 'WithHVCLoss']

# Where the names went that this package had in 0.1.
_MOVED = {'TorchvisionBackbone': 'hvc_mm.models.backbones'}


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
