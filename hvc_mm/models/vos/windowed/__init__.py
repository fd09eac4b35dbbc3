"""Label propagation on windows of the grid, exact."""

from .bank import FeatureBank, LabelBank, Segment, segments_of
from .reference_step import reference_step
from .rescoring import rescore
from .selection import Candidates, best, blend, join, widen
from .tiling import RowBand, Tile, Tiling, reach_of
from .window_step import WindowStep

__all__ = [
    'Candidates',
    'FeatureBank',
    'LabelBank',
    'RowBand',
    'Segment',
    'Tile',
    'Tiling',
    'WindowStep',
    'best',
    'blend',
    'join',
    'reach_of',
    'reference_step',
    'rescore',
    'segments_of',
    'widen',
]
