"""Using a model on one's own videos."""

from .find_config import find_config, list_configs
from .find_weights import find_weights
from .frame_source import open_frames
from .init_model import init_model
from .propagate_in_video import propagate_in_video
from .video_writer import VideoWriter
from .vos_inferencer import VOSInferencer

__all__ = [
    'VOSInferencer',
    'VideoWriter',
    'find_config',
    'find_weights',
    'init_model',
    'list_configs',
    'open_frames',
    'propagate_in_video',
]
