"""Metrics that follow the benchmarks' protocols, and their machinery."""

from .vos_metric import VOSMetric

__all__ = ['VOSMetric']
