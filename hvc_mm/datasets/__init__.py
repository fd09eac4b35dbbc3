"""Data sets, their transforms and samplers, and the files they read."""

from .coco_images import CocoImagesDataset
from .davis import VOSDataset
from .id_masks import (
    VOID,
    binarized,
    check_edges,
    check_size,
    davis_palette,
    is_binary_mask,
    mask_to_rle,
    objects_in,
    read_id_mask,
    save_id_mask,
    without_void,
    write_id_mask,
)
from .image_io import (
    IMAGE_SUFFIXES,
    BrokenImageError,
    list_images,
    natural_key,
    read_image,
    read_image_size,
    write_picture,
)
from .jhmdb import JOINTS, JHMDBDataset
from .pretrain_images import (
    ImageFolderDataset,
    VideoFramesDataset,
    seed_worker,
)
from .samplers import VideoSampler
from .transforms import (
    LoadFrame,
    LoadPretrainImage,
    LoadPrompt,
    PackPairedViews,
    PackVOSInputs,
    PairedRandomResizedCrop,
    Prompt,
    ResizeFrame,
)
from .video_dataset import VideoDataset, VideoRecord
from .video_files import (
    check_folder,
    check_name,
    find_masks,
    list_frames,
    read_video_names,
    stem_of,
)
from .vip import PARTS, VIPDataset
from .youtube_vos import YouTubeVOSDataset

__all__ = [
    'IMAGE_SUFFIXES',
    'JOINTS',
    'PARTS',
    'VOID',
    'BrokenImageError',
    'CocoImagesDataset',
    'ImageFolderDataset',
    'JHMDBDataset',
    'LoadFrame',
    'LoadPretrainImage',
    'LoadPrompt',
    'PackPairedViews',
    'PackVOSInputs',
    'PairedRandomResizedCrop',
    'Prompt',
    'ResizeFrame',
    'VIPDataset',
    'VOSDataset',
    'VideoDataset',
    'VideoFramesDataset',
    'VideoRecord',
    'VideoSampler',
    'YouTubeVOSDataset',
    'binarized',
    'check_edges',
    'check_folder',
    'check_name',
    'check_size',
    'davis_palette',
    'find_masks',
    'is_binary_mask',
    'list_frames',
    'list_images',
    'mask_to_rle',
    'natural_key',
    'objects_in',
    'read_id_mask',
    'read_image',
    'read_image_size',
    'read_video_names',
    'seed_worker',
    'stem_of',
    'without_void',
    'save_id_mask',
    'write_id_mask',
    'write_picture',
]
