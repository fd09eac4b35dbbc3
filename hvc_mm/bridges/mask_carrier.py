"""Carry an id map from frame to frame by a backbone's features.

Shapes: H W frame size of the ids, h w size of the normalised image.
"""

from __future__ import annotations

from typing import Optional, Sequence, Tuple, Union

import torch
from mmengine.model import BaseModule
from torch import Tensor

from hvc_mm.models.backbones import unit_features
from hvc_mm.registry import MODELS, TASK_UTILS
from hvc_mm.structures import VOSDataSample


class MaskCarrier(BaseModule):
    """HVC's propagation for a tracker that finds objects itself.

    Unlike :class:`~hvc_mm.models.vos.LabelPropagationVOS`, which a data set
    drives, it is told when to start from which ids.

    Args:
        backbone: Config of any OpenMMLab backbone.
        propagator: Config of the propagator.
        feature_index: Which of the backbone's maps to compare.
        preprocessor: Config of the preprocessor that gives the backbone the
            images it wants.
        init_cfg: mmengine's.
    """

    def __init__(
        self,
        backbone: dict,
        propagator: Optional[dict] = None,
        feature_index: Optional[Union[int, Sequence[int]]] = None,
        preprocessor: Optional[dict] = None,
        init_cfg: Optional[dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        # With their scope: a tracker's config has one of its own.
        self.backbone = MODELS.build(backbone)
        self.propagator = MODELS.build(
            {'type': 'hvc_mm.LabelPropagator', **(propagator or {})}
        )
        self.preprocessor = MODELS.build(
            {'type': 'hvc_mm.VOSDataPreprocessor', **(preprocessor or {})}
        )
        self.codec = TASK_UTILS.build({'type': 'hvc_mm.MaskCodec'})
        self.feature_index = feature_index
        self.references = 0

    @property
    def started(self) -> bool:
        """Whether there is something to carry."""
        return self.references > 0

    def extract(self, image: Tensor) -> Tensor:
        """Compute the features of a frame.

        Args:
            image: ``(3, h, w)``, BGR on the scale 0..255.

        Returns:
            ``(1, C, h', w')`` fp32, of length 1 in every cell.
        """
        normalised = self.preprocessor.normalise(image[None])
        return unit_features(self.backbone(normalised), self.feature_index)

    @torch.no_grad()
    def start(self, features: Tensor, ids: Tensor) -> None:
        """Forget what was carried; carry these ids from now on.

        Args:
            features: Of the frame that the ids belong to.
            ids: ``(H, W)`` uint8 on the CPU, 0 for background, with at
                least one object.

        Raises:
            ValueError: When the ids hold no object.
        """
        self.reset()
        self.join(features, ids)

    @torch.no_grad()
    def join(self, features: Tensor, ids: Tensor) -> None:
        """Carry these ids as well from now on.

        The frame becomes one more reference, and features of every
        reference are kept: :attr:`references` counts them. When the frame
        was carried to before, it stands in the memory twice.

        Args:
            features: Of the frame that the ids belong to.
            ids: ``(H, W)`` uint8 on the CPU, those that are new, 0
                elsewhere; they win over what is carried.

        Raises:
            ValueError: When an id is being carried already.
        """
        sample = _sample(ids.shape)
        sample.prompt_ids = ids
        labels = self.codec.encode(sample, tuple(features.shape[-2:]))
        self.propagator.step(features, labels.to(features))
        self.references += 1

    @torch.no_grad()
    def carry(self, features: Tensor, size: Tuple[int, int]) -> Tensor:
        """Carry the ids on to the next frame.

        Args:
            features: Of the next frame.
            size: ``(H, W)`` of the ids to return.

        Returns:
            ``(H, W)`` uint8 on the CPU.

        Raises:
            ValueError: Before :meth:`start`, or when the features' grid
                changes.
        """
        sample = _sample(size)
        self.codec.decode(self.propagator.step(features), sample)
        return sample.pred_ids

    def reset(self) -> None:
        """Forget the video."""
        self.references = 0
        self.propagator.reset()
        self.codec.reset()


def _sample(size: Tuple[int, int]) -> VOSDataSample:
    return VOSDataSample(metainfo=dict(ori_shape=tuple(size)))
