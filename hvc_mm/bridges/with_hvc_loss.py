"""Another model, with HVC's loss beside its own.

Shapes: N batch, H W padded batch of images.
"""

from __future__ import annotations

from typing import Any, List, Optional, Tuple

from mmengine.model import BaseModel
from torch import Tensor

from hvc_mm.registry import MODELS

from .auxiliary_loss import HVCAuxiliaryLoss


@MODELS.register_module()
class WithHVCLoss(BaseModel):
    """Train any OpenMMLab model with HVC's loss on its backbone as well.

    The host's data, losses and predictions stay as they are; while training,
    ``loss_hvc_static`` and ``loss_hvc_dynamic`` come beside its own losses.
    In checkpoints the host's tensors are under ``model.``.

    Args:
        model: Config of the host: a model with a ``backbone``, to which its
            preprocessor gives a batch of images ``(N, 3, H, W)``.
        auxiliary: Arguments of
            :class:`~hvc_mm.bridges.auxiliary_loss.HVCAuxiliaryLoss`, all but
            ``backbone``.
        weight: Factor of both of HVC's losses.
        init_cfg: mmengine's.

    Raises:
        ValueError: When the host has no backbone.
    """

    def __init__(
        self,
        model: dict,
        auxiliary: dict,
        weight: float = 1.0,
        init_cfg: Optional[dict] = None,
    ) -> None:
        host = MODELS.build(model)
        super().__init__(host.data_preprocessor, init_cfg)
        if not hasattr(host, 'backbone'):
            raise ValueError(
                f'WithHVCLoss: {type(host).__name__} has no backbone for '
                "HVC's loss"
            )
        self.model = host
        self.auxiliary = HVCAuxiliaryLoss(host.backbone, **auxiliary)
        self.weight = weight

    def forward(
        self,
        inputs: Tensor,
        data_samples: Optional[List[Any]] = None,
        mode: str = 'tensor',
    ) -> Any:
        """Run the host in one of mmengine's modes.

        Args:
            inputs: Normalised images, ``(N, 3, H, W)``.
            data_samples: The host's; their ``img_shape``, where they have
                one, says which part of an image is no padding.
            mode: The host's modes.

        Returns:
            What the host returns; in mode ``'loss'`` with HVC's losses.
        """
        outputs = self.model(inputs, data_samples, mode=mode)
        if mode == 'loss':
            sizes = _sizes(inputs, data_samples)
            losses = self.auxiliary(self.model.backbone, inputs, sizes)
            for name, value in losses.items():
                name = name.replace('loss_', 'loss_hvc_', 1)
                outputs[name] = value * self.weight
        return outputs


def _sizes(
    inputs: Tensor, data_samples: Optional[List[Any]]
) -> List[Tuple[int, int]]:
    """Height and width of each image without its padding."""
    whole = tuple(inputs.shape[-2:])
    if not data_samples:
        return [whole] * len(inputs)
    return [tuple(s.get('img_shape', whole)[:2]) for s in data_samples]
