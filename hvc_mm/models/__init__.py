"""Models: backbones, HVC pre-training, label propagation."""

from .backbones import FeatureEnsemble, HVCResNet
from .data_preprocessors import *  # noqa: F401,F403
from .heads import PseudoFlowHead
from .losses import *  # noqa: F401,F403
from .necks import ConvProjector
from .selfsup import HVC, CosineMomentumTarget
from .vos import LabelPropagationVOS, LabelPropagator, MaskCodec, propagate

__all__ = [
    'ConvProjector',
    'CosineMomentumTarget',
    'FeatureEnsemble',
    'HVC',
    'HVCResNet',
    'LabelPropagationVOS',
    'LabelPropagator',
    'MaskCodec',
    'PseudoFlowHead',
    'propagate',
]

# What joins HVC to other projects is registered with the models. At the end:
# it builds on the above.
import hvc_mm.bridges  # noqa: E402,F401
