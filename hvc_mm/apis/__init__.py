"""Using a model on one's own videos."""

from hvc_mm.engine.config_file import find_config, list_configs
from hvc_mm.engine.run_config import (
    choose_checkpoint,
)

from .inference import init_model, propagate_in_video, video_features
from .picture_writer import PictureWriter
from .prompt_masks import PromptMasks
from .video_io import FrameSource, open_frames, track_frames
from .vos_inferencer import VOSInferencer

__all__ = [
    'FrameSource',
    'PictureWriter',
    'PromptMasks',
    'VOSInferencer',
    'choose_checkpoint',
    'find_config',
    'init_model',
    'list_configs',
    'open_frames',
    'propagate_in_video',
    'track_frames',
    'video_features',
]
