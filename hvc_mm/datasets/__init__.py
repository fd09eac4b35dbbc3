"""Data sets, their transforms and samplers."""

from .image_folder import ImageFolderDataset
from .jhmdb import JHMDBDataset
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
from .video_frames import VideoFramesDataset
from .vip import VIPDataset
from .vos_dataset import VOSDataset
from .ytvos import YouTubeVOSDataset

__all__ = [
    'ImageFolderDataset',
    'JHMDBDataset',
    'LoadFrame',
    'LoadPretrainImage',
    'LoadPrompt',
    'PackPairedViews',
    'PackVOSInputs',
    'PairedRandomResizedCrop',
    'ResizeFrame',
    'VIPDataset',
    'VOSDataset',
    'VideoDataset',
    'VideoFramesDataset',
    'VideoSampler',
    'YouTubeVOSDataset',
    'seed_worker',
]
