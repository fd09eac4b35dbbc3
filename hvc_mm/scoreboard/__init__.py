"""Any backbones on all benchmarks, next to each other."""

from .backbones import Backbone, BackboneError, make_backbone, parse_backbones
from .report import Scoreboard
from .runs import BENCHMARKS, Benchmark, Run, prepare_run

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
