"""Pictures of what was propagated, and of what the features have learned."""

from .affinity import point_affinity
from .feature_pca import FeaturePCA
from .flow_color import flow_to_rgb
from .heat_map import overlay_heat
from .joints import draw_joints
from .overlay import overlay_ids
from .paired_views import draw_crops, draw_matches, nearest_cells
from .score_curve import draw_score_curve
from .vos_local_visualizer import VOSLocalVisualizer

__all__ = [
    'FeaturePCA',
    'VOSLocalVisualizer',
    'draw_crops',
    'draw_joints',
    'draw_matches',
    'draw_score_curve',
    'flow_to_rgb',
    'nearest_cells',
    'overlay_heat',
    'overlay_ids',
    'point_affinity',
]
