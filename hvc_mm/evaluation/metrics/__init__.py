"""Metrics that follow the benchmarks' protocols, and their machinery."""

from .mean_iou_metric import MeanIoUMetric
from .pck_metric import PCKMetric
from .vos_metric import VOSMetric
from .youtube_vos_metric import YouTubeVOSMetric

__all__ = ['MeanIoUMetric', 'PCKMetric', 'VOSMetric', 'YouTubeVOSMetric']
