"""Data elements that go between data sets, models and metrics."""

from .paired_view_sample import PairedViewSample
from .vos_data_sample import VOSDataSample

__all__ = ['PairedViewSample', 'VOSDataSample']
