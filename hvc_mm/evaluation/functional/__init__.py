"""Scores as pure functions on numpy arrays."""

from .confusion import confusion_matrix, iou_from_confusion
from .j_and_f import (
    SequenceStatistics,
    boundary_accuracy,
    davis_summary,
    last_quarter,
    mask_boundary,
    region_similarity,
    sequence_statistics,
)
from .pck import pck, pck_per_joint

__all__ = [
    'SequenceStatistics',
    'boundary_accuracy',
    'confusion_matrix',
    'davis_summary',
    'iou_from_confusion',
    'last_quarter',
    'mask_boundary',
    'pck',
    'pck_per_joint',
    'region_similarity',
    'sequence_statistics',
]
