"""Another model, trained with HVC's loss as well.

Shapes: N batch, H W padded batch of images, S view size, C channels.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence, Tuple

import torch
from mmengine.model import BaseModel, BaseModule
from torch import Tensor, nn
from torchvision.transforms.functional import resized_crop

from hvc_mm.datasets.transforms.processing import draw_crop, normalised_box
from hvc_mm.registry import MODELS

from .hvc import HybridStep

Sizes = Sequence[Tuple[int, int]]


class HVCAuxiliaryLoss(HybridStep, BaseModule):
    """Compute HVC's loss on a backbone that belongs to a host model.

    Two random crops are cut out of every image that the host trains on, as
    it sees them (normalised by its own preprocessor), and compared like the
    two views of pre-training (:class:`~hvc_mm.models.selfsup.HVC`). The
    target's backbone is a moving average of the host's.

    Args:
        backbone: The host's backbone; it is copied for the target, not kept.
        projector: Config of the projector, for the map that is used.
        predictor: Config of the predictor.
        flow_head: Config of the pseudo-flow head.
        loss: Config of the hybrid loss.
        target: Config of the averaged model.
        feature_index: Which of the backbone's maps to use.
        view_size: S, side of a view in pixels.
        scale: Least and greatest share of the image that a crop covers.
        ratio: Least and greatest width over height of a crop.
        init_cfg: mmengine's.

    Raises:
        ValueError: For a ``view_size`` below 1.
    """

    def __init__(
        self,
        backbone: nn.Module,
        projector: dict,
        predictor: dict,
        flow_head: dict,
        loss: Optional[dict] = None,
        target: Optional[dict] = None,
        feature_index: int = -1,
        view_size: int = 256,
        scale: Tuple[float, float] = (0.0, 1.0),
        ratio: Tuple[float, float] = (3 / 4, 4 / 3),
        init_cfg: Optional[dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        if view_size < 1:
            raise ValueError(f'view_size is {view_size}, expected pixels > 0')
        self.feature_index = feature_index
        self.build_parts(
            backbone, projector, predictor, flow_head, loss, target
        )
        self.view_size = view_size
        self.scale = tuple(scale)
        self.ratio = tuple(ratio)

    def forward(
        self, backbone: nn.Module, images: Tensor, sizes: Sizes
    ) -> Dict[str, Tensor]:
        """Compute the hybrid loss on crops of a batch, move the target.

        Args:
            backbone: The host's.
            images: ``(N, 3, H, W)``, normalised.
            sizes: Height and width of each image without its padding.

        Returns:
            ``loss_static`` and ``loss_dynamic``, scalars in [-4, 4] times
            their weights.

        Raises:
            ValueError: For an image of one row or column, in which a crop
                has no normalised box.
        """
        drawn = [self._draw_views(images, sizes) for _ in range(2)]
        views, boxes = zip(*drawn)
        return self.compare(backbone, views, boxes)

    def _draw_views(
        self, images: Tensor, sizes: Sizes
    ) -> Tuple[Tensor, Tensor]:
        """Draw a view of each image, ``(N, 3, S, S)``, and boxes ``(N, 4)``.

        The boxes stay on the CPU, where positive pairs are found.
        """
        views, boxes = [], []
        for image, (height, width) in zip(images, sizes):
            crop = draw_crop(height, width, self.scale, self.ratio)
            box = normalised_box(crop, height, width)
            boxes.append(torch.from_numpy(box))
            side = [self.view_size, self.view_size]
            views.append(resized_crop(image, *crop, side, antialias=True))
        return torch.stack(views), torch.stack(boxes)


@MODELS.register_module()
class WithHVCLoss(BaseModel):
    """Train any OpenMMLab model with HVC's loss on its backbone as well.

    The host's data, losses and predictions stay as they are; while training,
    ``loss_hvc_static`` and ``loss_hvc_dynamic`` are added to its own losses.
    In checkpoints the host's tensors are under ``model.``.

    Args:
        model: Config of the host: a model with a ``backbone``, to which its
            preprocessor gives a batch of images ``(N, 3, H, W)``.
        auxiliary: Arguments of :class:`HVCAuxiliaryLoss`, all but
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


def _sizes(inputs: Tensor, data_samples: Optional[List[Any]]) -> Sizes:
    """Read height and width of each image without its padding."""
    whole = tuple(inputs.shape[-2:])
    if not data_samples:
        return [whole] * len(inputs)
    return [tuple(s.get('img_shape', whole)[:2]) for s in data_samples]
