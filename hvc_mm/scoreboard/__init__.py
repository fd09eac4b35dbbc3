"""Any backbones on all benchmarks, side by side."""

from .backbone_spec import BackboneError, BackboneSpec, parse_backbones
from .benchmarks import BENCHMARKS, Benchmark, missing_data
from .candidate import Candidate, make_candidate
from .cell import Cell, make_cell, run_cell
from .report import Scoreboard

__all__ = [
    'BENCHMARKS',
    'BackboneError',
    'BackboneSpec',
    'Benchmark',
    'Candidate',
    'Cell',
    'Scoreboard',
    'make_candidate',
    'make_cell',
    'missing_data',
    'parse_backbones',
    'run_cell',
]
