"""Transforms: from a file's name to what a data preprocessor takes."""

from .formatting import PackPairedViews, PackVOSInputs
from .loading import LoadFrame, LoadPretrainImage, LoadPrompt, Prompt
from .processing import PairedRandomResizedCrop, ResizeFrame

__all__ = [
    'LoadFrame',
    'LoadPretrainImage',
    'LoadPrompt',
    'PackPairedViews',
    'PackVOSInputs',
    'PairedRandomResizedCrop',
    'Prompt',
    'ResizeFrame',
]
