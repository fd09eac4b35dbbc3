"""Keep the import path ``hvc_mm.weights`` of version 0.1."""

import warnings

from .checkpoint import (
    LAYOUTS,
    CheckpointError,
    PretrainedBackbone,
    read_checkpoint,
    sha256_of,
)

warnings.warn(
    'hvc_mm.weights is now hvc_mm.checkpoint; conversion and publishing are '
    'in tools/model_converters',
    DeprecationWarning,
    stacklevel=2,
)

__all__ = [
    'LAYOUTS',
    'CheckpointError',
    'PretrainedBackbone',
    'read_checkpoint',
    'sha256_of',
]
