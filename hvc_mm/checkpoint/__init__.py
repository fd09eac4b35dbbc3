"""Read weights safely, find the backbone in them, give it its tensors.

Every door through which weights come in uses this package: mmengine's own
loaders, ``tools/test.py``, ``init_model``, ``init_cfg``, the converters and
the scoreboard. It matches a file to a given state dict and knows no model.
"""

from .checks import check_complete, check_weights
from .layouts import LAYOUTS, Network, compare
from .loading import (
    PretrainedBackbone,
    adopt_backbone_weights,
    load_backbone,
    require_weights,
)
from .matching import find_network
from .mmengine_loaders import guard_mmengine
from .model_zoo import MODEL_ZOO, PublishedWeights, find_weights, local_weights
from .reading import (
    CheckpointError,
    allow_checkpoint_classes,
    read_checkpoint,
    sha256_of,
)
from .vision_transformers import Size, expected_of_vit, size_of

__all__ = [
    'LAYOUTS',
    'MODEL_ZOO',
    'CheckpointError',
    'Network',
    'PretrainedBackbone',
    'PublishedWeights',
    'Size',
    'adopt_backbone_weights',
    'allow_checkpoint_classes',
    'check_complete',
    'check_weights',
    'compare',
    'expected_of_vit',
    'find_network',
    'find_weights',
    'guard_mmengine',
    'load_backbone',
    'local_weights',
    'read_checkpoint',
    'require_weights',
    'sha256_of',
    'size_of',
]

# Where a run is built from a config alone, the import of this package by the
# models or hooks is the first moment at which hvc_mm takes part; it comes
# before mmengine reads any checkpoint.
allow_checkpoint_classes()
guard_mmengine()
