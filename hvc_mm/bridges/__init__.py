"""Parts that join HVC to other OpenMMLab projects.

``mmtrack`` here needs MMTracking: a config names it in ``custom_imports``.
The others need none of these projects.
"""

from .auxiliary_loss import HVCAuxiliaryLoss
from .torchvision_backbone import TorchvisionBackbone
from .with_hvc_loss import WithHVCLoss

__all__ = ['HVCAuxiliaryLoss', 'TorchvisionBackbone', 'WithHVCLoss']
