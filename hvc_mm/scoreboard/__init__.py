"""Any backbones on all benchmarks, next to each other."""

from .backbones import BackboneError, make_backbone, parse_backbones
from .entries import BENCHMARKS, Backbone, Benchmark
from .report import Scoreboard
from .runs import Run, prepare_run

__all__ = [
    'BENCHMARKS',
    'Backbone',
    'BackboneError',
    'Benchmark',
    'Run',
    'Scoreboard',
    'make_backbone',
    'parse_backbones',
    'prepare_run',
]
