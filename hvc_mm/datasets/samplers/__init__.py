"""Samplers: in which order, and on which rank, items are read."""

from .video_sampler import VideoSampler

__all__ = ['VideoSampler']
