"""HVC's loss on the backbone of another model.

Shapes: N batch, H W padded batch of images, S view size, C channels.
"""

from __future__ import annotations

from typing import Callable, Dict, Optional, Sequence, Tuple

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from hvc_mm.datasets.transforms.processing import (
    draw_crop,
    normalised_box,
)
from hvc_mm.registry import MODELS

Maps = Callable[[Tensor], Sequence[Tensor]]


class HVCAuxiliaryLoss(BaseModule):
    """Everything of HVC but the backbone, which belongs to a host model.

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
        # With their scope: the host's config has one of its own.
        parts = dict(
            projector={'type': 'hvc_mm.ConvProjector', **projector},
            predictor={'type': 'hvc_mm.ConvProjector', **predictor},
            flow_head={'type': 'hvc_mm.PseudoFlowHead', **flow_head},
            loss={'type': 'hvc_mm.HybridCorrespondenceLoss', **(loss or {})},
            target={'type': 'hvc_mm.CosineMomentumTarget', **(target or {})},
        )
        self.projector = MODELS.build(parts['projector'])
        self.predictor = MODELS.build(parts['predictor'])
        self.flow_head = MODELS.build(parts['flow_head'])
        self.loss_module = MODELS.build(parts['loss'])
        self.target = MODELS.build(
            parts['target'], default_args={'model': self._online(backbone)}
        )
        self.feature_index = feature_index
        self.view_size = view_size
        self.scale = tuple(scale)
        self.ratio = tuple(ratio)

    def _online(self, backbone: nn.Module) -> nn.ModuleDict:
        return nn.ModuleDict(
            {'backbone': backbone, 'projector': self.projector}
        )

    def forward(
        self,
        backbone: nn.Module,
        images: Tensor,
        sizes: Sequence[Tuple[int, int]],
    ) -> Dict[str, Tensor]:
        """Compute the hybrid loss on crops of a batch, move the target.

        Args:
            backbone: The host's.
            images: ``(N, 3, H, W)``, normalised.
            sizes: Height and width of each image without its padding.

        Returns:
            ``loss_static`` and ``loss_dynamic``, scalars in [-4, 4] times
            their weights.
        """
        view1, box1 = self._draw_views(images, sizes)
        view2, box2 = self._draw_views(images, sizes)
        prediction1 = self._predict(backbone, view1)
        prediction2 = self._predict(backbone, view2)
        with torch.no_grad():
            self.target.update_parameters(self._online(backbone))
            average = self.target.module
            networks = average['backbone'], average['projector']
            target1 = self._project(*networks, view1)
            target2 = self._project(*networks, view2)
        return self.loss_module(
            prediction1,
            prediction2,
            F.normalize(target1.float(), dim=1),
            F.normalize(target2.float(), dim=1),
            self.flow_head,
            box1,
            box2,
        )

    def _predict(self, backbone: Maps, view: Tensor) -> Tensor:
        projection = self._project(backbone, self.projector, view)
        return F.normalize(self.predictor(projection).float(), dim=1)

    def _project(
        self, backbone: Maps, projector: nn.Module, view: Tensor
    ) -> Tensor:
        maps = backbone(view)
        if isinstance(maps, Tensor):
            maps = (maps,)
        return projector(maps[self.feature_index])

    def _draw_views(
        self, images: Tensor, sizes: Sequence[Tuple[int, int]]
    ) -> Tuple[Tensor, Tensor]:
        """One view of each image, ``(N, 3, S, S)``, and boxes ``(N, 4)``."""
        views, boxes = [], []
        for image, (height, width) in zip(images, sizes):
            crop = self._draw_crop(height, width)
            top, left, rows, columns = crop
            piece = image[:, top : top + rows, left : left + columns]
            view = F.interpolate(
                piece[None],
                size=(self.view_size, self.view_size),
                mode='bilinear',
                align_corners=False,
                antialias=True,
            )
            views.append(view)
            box = normalised_box(crop, height, width)
            boxes.append(torch.from_numpy(box))
        # Boxes stay on the CPU, where positive pairs are found.
        return torch.cat(views), torch.stack(boxes)

    def _draw_crop(self, height: int, width: int):
        while True:
            crop = draw_crop(height, width, self.scale, self.ratio)
            # A box from pixel centre to pixel centre needs two each way.
            if min(crop[2:]) >= 2:
                return crop
