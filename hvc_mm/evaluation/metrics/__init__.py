"""Metrics that follow the benchmarks' protocols, and their base."""

from .mean_iou_metric import MeanIoUMetric
from .pck_metric import PCKMetric
from .video_metric import OpenVideo, VideoMetric
from .vos_metric import VOSMetric
from .vost_metric import VOSTMetric
from .youtube_vos_metric import YouTubeVOSMetric

__all__ = [
    'MeanIoUMetric',
    'OpenVideo',
    'PCKMetric',
    'VOSMetric',
    'VOSTMetric',
    'VideoMetric',
    'YouTubeVOSMetric',
]
