"""Any backbones on all benchmarks, next to each other."""

from .backbones import BackboneError, make_backbone, parse_backbones
from .entries import BENCHMARKS, Backbone, Benchmark
from .protocols import OWN, check_protocols, why_unfit
from .report import Scoreboard
from .runs import Run, prepare_run

__all__ = [
    'BENCHMARKS',
    'OWN',
    'Backbone',
    'BackboneError',
    'Benchmark',
    'Run',
    'Scoreboard',
    'check_protocols',
    'make_backbone',
    'parse_backbones',
    'prepare_run',
    'why_unfit',
]
