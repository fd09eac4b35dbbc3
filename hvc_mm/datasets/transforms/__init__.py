"""Transforms: from a file's name to what a data preprocessor takes."""

from .load_frame import LoadFrame
from .load_pretrain_image import LoadPretrainImage
from .load_prompt import LoadPrompt
from .pack_paired_views import PackPairedViews
from .pack_vos_inputs import PackVOSInputs
from .paired_random_resized_crop import PairedRandomResizedCrop
from .resize_frame import ResizeFrame

__all__ = [
    'LoadFrame',
    'LoadPretrainImage',
    'LoadPrompt',
    'PackPairedViews',
    'PackVOSInputs',
    'PairedRandomResizedCrop',
    'ResizeFrame',
]
