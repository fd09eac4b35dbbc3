"""HVC pre-training: two views of one still image, compared cell by cell.

Shapes: N batch, C channels, H W view size, h w feature grid.
"""

from __future__ import annotations

from typing import Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from torch import Tensor, nn

from hvc_mm.registry import MODELS
from hvc_mm.structures import PairedViewSample


class HybridStep:
    """Compare two views of each image through a backbone (a mixin).

    It gives a module everything of HVC but the backbone, which
    :class:`HVC` owns and
    :class:`~hvc_mm.models.selfsup.with_hvc_loss.HVCAuxiliaryLoss` borrows
    from another model.

    Attributes:
        feature_index: Which of the backbone's maps is compared.
    """

    feature_index = -1

    def build_parts(
        self,
        backbone: nn.Module,
        projector: dict,
        predictor: dict,
        flow_head: dict,
        loss: Optional[dict] = None,
        target: Optional[dict] = None,
    ) -> None:
        """Build projector, predictor, flow head, loss and target.

        Args:
            backbone: It is copied for the target, not kept.
            projector: Config, by default of a ``ConvProjector``, which needs
                no ``in_channels``: they are the backbone's.
            predictor: Likewise.
            flow_head: Config, by default of a ``PseudoFlowHead``.
            loss: Config, by default of a ``HybridCorrespondenceLoss``.
            target: Config, by default of a ``CosineMomentumTarget``.
        """
        kind = str(projector.get('type', 'ConvProjector')).split('.')[-1]
        if kind == 'ConvProjector' and 'in_channels' not in projector:
            channels = self._count_channels(backbone)
            projector = dict(projector, in_channels=channels)
        self.projector = _build('ConvProjector', projector)
        self.predictor = _build('ConvProjector', predictor)
        self.flow_head = _build('PseudoFlowHead', flow_head)
        self.loss_module = _build('HybridCorrespondenceLoss', loss)
        online = self._online(backbone)
        self.target = _build('CosineMomentumTarget', target, model=online)

    def compare(
        self,
        backbone: nn.Module,
        views: Sequence[Tensor],
        boxes: Sequence[Tensor],
    ) -> Dict[str, Tensor]:
        """Compute the hybrid loss of two views and move the target.

        The online network predicts from each view on its own, so that batch
        statistics are per view. Then the target moves towards the online
        network and projects both views. The loss compares the predictions
        of one view with the projections of the other, in both directions.

        Args:
            backbone: The online network's.
            views: Two, ``(N, 3, H, W)`` each.
            boxes: Where they are in the image, ``(N, 4)`` each; on the CPU
                positive pairs are found without making a GPU wait.

        Returns:
            ``loss_static`` and ``loss_dynamic``, scalars in [-4, 4] times
            their weights.
        """
        predictions = [self.predict_view(backbone, view) for view in views]
        with torch.no_grad():
            self.target.update_parameters(self._online(backbone))
            targets = [self.project_view(view) for view in views]
        return self.loss_module(*predictions, *targets, self.flow_head, *boxes)

    def predict_view(self, backbone: nn.Module, view: Tensor) -> Tensor:
        """Predict from a view with the online network.

        Args:
            backbone: The online network's.
            view: ``(N, 3, H, W)``, normalised.

        Returns:
            ``(N, C, h, w)``, of length 1 over C.
        """
        features = self._features(backbone, view)
        return _unit(self.predictor(self.projector(features)))

    def project_view(self, view: Tensor) -> Tensor:
        """Project a view with the target network.

        Args:
            view: ``(N, 3, H, W)``, normalised.

        Returns:
            ``(N, C, h, w)``, of length 1 over C.
        """
        target = self.target.module
        features = self._features(target['backbone'], view)
        return _unit(target['projector'](features))

    def _online(self, backbone: nn.Module) -> nn.ModuleDict:
        """Give backbone and projector, which the target averages."""
        return nn.ModuleDict(
            {'backbone': backbone, 'projector': self.projector}
        )

    def _count_channels(self, backbone: nn.Module) -> int:
        """Count the channels of the map that is used, on an empty image."""
        modes = {module: module.training for module in backbone.modules()}
        weight = next(backbone.parameters())
        with torch.no_grad():
            backbone.eval()  # batch norms keep their statistics
            maps = self._features(backbone, weight.new_zeros(1, 3, 64, 64))
        for module, training in modes.items():
            module.training = training
        return maps.shape[1]

    def _features(self, backbone: nn.Module, view: Tensor) -> Tensor:
        maps = backbone(view)
        return maps if isinstance(maps, Tensor) else maps[self.feature_index]


@MODELS.register_module()
class HVC(HybridStep, BaseModel):
    """Pre-train a backbone by Hybrid Visual Correspondence (2404.13505).

    The online network (backbone, projector, predictor) predicts what the
    target network, a moving average of backbone and projector, projects from
    another view of the same image; see :meth:`HybridStep.compare`.

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
        # would look in mmengine's own registry.
        preprocessor = _build('PairedViewsDataPreprocessor', data_preprocessor)
        super().__init__(preprocessor, init_cfg)
        self.backbone = MODELS.build(backbone)
        self.build_parts(
            self.backbone, projector, predictor, flow_head, loss, target
        )
        if getattr(self.data_preprocessor, 'channels_last', False):
            # Else a GPU would bring the weights to the images' format in
            # every convolution, and the gradients back.
            self.to(memory_format=torch.channels_last)

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
        box1 = _stack([sample.box1 for sample in data_samples])
        box2 = _stack([sample.box2 for sample in data_samples])
        return self.compare(self.backbone, inputs, (box1, box2))


def _build(name: str, given: Optional[dict], **arguments) -> nn.Module:
    """Build a part, of the type ``name`` unless ``given`` has its own.

    The name has its scope: another project's may be the config's.
    """
    config = {'type': f'hvc_mm.{name}', **(given or {})}
    return MODELS.build(config, default_args=arguments or None)


def _unit(features: Tensor) -> Tensor:
    """L2-normalise ``(N, C, h, w)`` over C, in fp32 at least (autocast
    gives less)."""
    dtype = torch.promote_types(features.dtype, torch.float32)
    return F.normalize(features.to(dtype), dim=1)


def _stack(boxes: List[np.ndarray]) -> Tensor:
    """Stack the boxes of a batch, ``(N, 4)`` fp32 on the CPU."""
    return torch.from_numpy(np.stack(boxes).astype(np.float32))
