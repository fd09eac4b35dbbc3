"""Scores as functions (`functional`), benchmarks as metrics (`metrics`)."""

from .metrics import MeanIoUMetric, PCKMetric, VOSMetric, YouTubeVOSMetric

__all__ = ['MeanIoUMetric', 'PCKMetric', 'VOSMetric', 'YouTubeVOSMetric']
