"""Pictures of what was propagated, and of what the features have learned."""

from .features import FeaturePCA, overlay_heat, point_affinity
from .frames import FrameLabels, frame_ground_truth, frame_image
from .overlays import draw_joints, overlay_ids
from .panels import as_rgb, caption, side_by_side
from .pretraining import (
    draw_crops,
    draw_positive_pairs,
    draw_pretraining_sample,
)
from .vos_local_visualizer import VOSLocalVisualizer

__all__ = [
    'FeaturePCA',
    'FrameLabels',
    'VOSLocalVisualizer',
    'as_rgb',
    'caption',
    'draw_crops',
    'draw_joints',
    'draw_positive_pairs',
    'draw_pretraining_sample',
    'frame_ground_truth',
    'frame_image',
    'overlay_heat',
    'overlay_ids',
    'point_affinity',
    'side_by_side',
]
