"""Scores as pure functions on numpy arrays."""

from .confusion import confusion_matrix, iou_from_confusion
from .j_and_f import boundary_accuracy, mask_boundary, region_similarity
from .pck import pck, pck_per_joint
from .sequence_statistics import (
    SequenceStatistics,
    davis_summary,
    sequence_statistics,
)

__all__ = [
    'SequenceStatistics',
    'boundary_accuracy',
    'confusion_matrix',
    'davis_summary',
    'iou_from_confusion',
    'mask_boundary',
    'pck',
    'pck_per_joint',
    'region_similarity',
    'sequence_statistics',
]
