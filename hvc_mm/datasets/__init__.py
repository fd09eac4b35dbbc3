"""Data sets, their transforms and samplers."""

from .image_folder import ImageFolderDataset
from .samplers import VideoSampler
from .seeding import seed_worker
from .transforms import (
    LoadFrame,
    LoadPretrainImage,
    LoadPrompt,
    PackPairedViews,
    PackVOSInputs,
    PairedRandomResizedCrop,
    ResizeFrame,
)
from .video_dataset import VideoDataset
from .vos_dataset import VOSDataset

__all__ = [
    'ImageFolderDataset',
    'LoadFrame',
    'LoadPretrainImage',
    'LoadPrompt',
    'PackPairedViews',
    'PackVOSInputs',
    'PairedRandomResizedCrop',
    'ResizeFrame',
    'VOSDataset',
    'VideoDataset',
    'VideoSampler',
    'seed_worker',
]
