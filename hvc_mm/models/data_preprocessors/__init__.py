"""Data preprocessors: from 8-bit batches to normalised tensors."""

from .paired_views_data_preprocessor import PairedViewsDataPreprocessor
from .vos_data_preprocessor import VOSDataPreprocessor

__all__ = ['PairedViewsDataPreprocessor', 'VOSDataPreprocessor']
