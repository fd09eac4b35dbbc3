"""Data elements that go between data sets, models and metrics."""

from .data_samples import PairedViewSample, VOSDataSample

__all__ = ['PairedViewSample', 'VOSDataSample']
