"""Losses of pre-training."""

from .dense_hybrid_loss import dense_hybrid_loss, dense_positive_mask
from .hybrid_correspondence_loss import (
    HybridCorrespondenceLoss,
    hybrid_correspondence_loss,
)
from .positive_pairs import PositivePairs, find_positive_pairs

__all__ = [
    'HybridCorrespondenceLoss',
    'PositivePairs',
    'dense_hybrid_loss',
    'dense_positive_mask',
    'find_positive_pairs',
    'hybrid_correspondence_loss',
]
