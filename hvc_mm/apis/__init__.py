"""Using a model on one's own videos."""

from hvc_mm.engine.run_config import (
    choose_checkpoint,
    find_config,
    list_configs,
)

from .frame_source import open_frames
from .init_model import init_model
from .propagate_in_video import propagate_in_video
from .video_writer import VideoWriter
from .vos_inferencer import VOSInferencer

__all__ = [
    'VOSInferencer',
    'VideoWriter',
    'choose_checkpoint',
    'find_config',
    'init_model',
    'list_configs',
    'open_frames',
    'propagate_in_video',
]
