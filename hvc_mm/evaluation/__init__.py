"""Scores as functions (`functional`), benchmarks as metrics (`metrics`)."""

from .metrics import (
    MeanIoUMetric,
    OpenVideo,
    PCKMetric,
    VideoMetric,
    VOSMetric,
    VOSTMetric,
    YouTubeVOSMetric,
)

__all__ = [
    'MeanIoUMetric',
    'OpenVideo',
    'PCKMetric',
    'VOSMetric',
    'VOSTMetric',
    'VideoMetric',
    'YouTubeVOSMetric',
]
