"""Scores as functions (`functional`), benchmarks as metrics (`metrics`)."""

from .metrics import VOSMetric

__all__ = ['VOSMetric']
