"""HVC pre-training: two views of one still image, compared cell by cell.

Shapes: N batch, C channels, H W view size, h w feature grid.
"""

from __future__ import annotations

from typing import Dict, List, Optional, Tuple, Union

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from torch import Tensor, nn

from hvc_mm.registry import MODELS
from hvc_mm.structures import PairedViewSample


@MODELS.register_module()
class HVC(BaseModel):
    """Hybrid Visual Correspondence (arXiv 2404.13505).

    The online network (backbone, projector, predictor) sees each view on
    its own, so that batch statistics are per view. Then the target (a
    moving average of backbone and projector) is updated and sees both. The
    loss compares the predictions of one view with the target's projections
    of the other, in both directions.

    Args:
        backbone: Config of any OpenMMLab backbone; its last map is used.
        projector: Config of the projector.
        predictor: Config of the predictor.
        flow_head: Config of the pseudo-flow head.
        loss: Config of the hybrid loss.
        target: Config of an averaged model, without ``model``.
        data_preprocessor: Config of the preprocessor; with its
            ``channels_last`` the weights are kept in that format, too.
        init_cfg: mmengine's.
    """

    def __init__(
        self,
        backbone: dict,
        projector: dict,
        predictor: dict,
        flow_head: dict,
        loss: dict,
        target: Optional[dict] = None,
        data_preprocessor: Optional[dict] = None,
        init_cfg: Optional[dict] = None,
    ) -> None:
        # Built here, where names without a scope are hvc_mm's: BaseModel
        # would look in mmengine's own registry. The parts that go without
        # saying have theirs: another project's may be the config's.
        preprocessor = {'type': 'hvc_mm.PairedViewsDataPreprocessor'}
        preprocessor.update(data_preprocessor or {})
        super().__init__(MODELS.build(preprocessor), init_cfg)
        self.backbone = MODELS.build(backbone)
        self.projector = MODELS.build(projector)
        self.predictor = MODELS.build(predictor)
        self.flow_head = MODELS.build(flow_head)
        self.loss_module = MODELS.build(loss)
        target = {'type': 'hvc_mm.CosineMomentumTarget', **(target or {})}
        self.target = MODELS.build(target, default_args={'model': self.online})
        if getattr(self.data_preprocessor, 'channels_last', False):
            # Else a GPU would bring the weights to the images' format in
            # every convolution, and the gradients back.
            self.to(memory_format=torch.channels_last)

    @property
    def online(self) -> nn.ModuleDict:
        """Backbone and projector, the part that the target averages."""
        return nn.ModuleDict(
            {'backbone': self.backbone, 'projector': self.projector}
        )

    def forward(
        self,
        inputs: Union[Tensor, List[Tensor]],
        data_samples: Optional[List[PairedViewSample]] = None,
        mode: str = 'tensor',
    ) -> Union[Tuple[Tensor, ...], Dict[str, Tensor]]:
        """Run one of mmengine's modes.

        Args:
            inputs: The two views, each normalised ``(N, 3, H, W)``; in mode
                ``'tensor'`` one batch of images will do.
            data_samples: The samples with the views' boxes (mode ``'loss'``).
            mode: ``'loss'``, or ``'tensor'`` for the backbone's maps.

        Returns:
            A dict of scalar losses, or the backbone's maps (a list of them
            for several views).

        Raises:
            ValueError: For any other mode.
        """
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        if mode == 'tensor':
            if isinstance(inputs, Tensor):
                return self.backbone(inputs)
            return [self.backbone(view) for view in inputs]
        raise ValueError(
            f"HVC has no mode {mode!r}, expected 'loss' or 'tensor'; to "
            'segment videos put its backbone under LabelPropagationVOS'
        )

    def loss(
        self, inputs: List[Tensor], data_samples: List[PairedViewSample]
    ) -> Dict[str, Tensor]:
        """Compute the hybrid loss of a batch and move the target.

        Args:
            inputs: Two views, ``(N, 3, H, W)`` each.
            data_samples: N samples with ``box1`` and ``box2``.

        Returns:
            ``loss_static`` and ``loss_dynamic``, scalars.
        """
        view1, view2 = inputs
        prediction1 = self._predict(view1)
        prediction2 = self._predict(view2)
        with torch.no_grad():
            self.target.update_parameters(self.online)
            target1 = self._project(view1)
            target2 = self._project(view2)
        box1 = _stack([sample.box1 for sample in data_samples])
        box2 = _stack([sample.box2 for sample in data_samples])
        return self.loss_module(
            prediction1,
            prediction2,
            target1,
            target2,
            self.flow_head,
            box1,
            box2,
        )

    def _predict(self, view: Tensor) -> Tensor:
        """Online prediction, ``(N, C, h, w)`` of unit length."""
        projection = self.projector(self.backbone(view))
        return _unit(self.predictor(projection))

    def _project(self, view: Tensor) -> Tensor:
        """Target projection, ``(N, C, h, w)`` of unit length."""
        target = self.target.module
        projection = target['projector'](target['backbone'](view))
        return _unit(projection)


def _unit(features: Tensor) -> Tensor:
    """L2-normalise over channels, in fp32 at least (autocast gives less)."""
    dtype = torch.promote_types(features.dtype, torch.float32)
    return F.normalize(features.to(dtype), dim=1)


def _stack(boxes: List[np.ndarray]) -> Tensor:
    """Boxes of a batch, ``(N, 4)`` fp32.

    They stay on the CPU, where positive pairs are found without making a
    GPU wait.
    """
    return torch.from_numpy(np.stack(boxes).astype(np.float32))
