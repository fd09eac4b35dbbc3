"""Any backbones on all benchmarks, next to each other."""

from .backbone_texts import BackboneError, parse_backbones
from .backbones import make_backbone, try_frame_sizes
from .entries import BENCHMARKS, Backbone, Benchmark
from .protocols import OWN, check_protocols, why_unfit
from .report import Scoreboard
from .runs import Run, prepare_run
from .testing import group_runs, score_together

__all__ = [
    'BENCHMARKS',
    'OWN',
    'Backbone',
    'BackboneError',
    'Benchmark',
    'Run',
    'Scoreboard',
    'check_protocols',
    'group_runs',
    'make_backbone',
    'parse_backbones',
    'prepare_run',
    'score_together',
    'try_frame_sizes',
    'why_unfit',
]
