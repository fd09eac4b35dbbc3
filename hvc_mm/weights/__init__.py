"""Weights made elsewhere: read them safely, give them the usual names."""

from .checkpoint_file import CheckpointError, read_checkpoint, sha256_of
from .conversion import (
    Conversion,
    convert_checkpoint,
    convert_file,
    read_record,
)
from .layouts import LAYOUTS
from .pretrained_backbone import PretrainedBackbone
from .publishing import publish

__all__ = [
    'LAYOUTS',
    'CheckpointError',
    'Conversion',
    'PretrainedBackbone',
    'convert_checkpoint',
    'convert_file',
    'publish',
    'read_checkpoint',
    'read_record',
    'sha256_of',
]
