"""Parts of persons <-> planes, resized as CRW does it for VIP.

Shapes: M channels, H W frame, S S the square that frames are resized to,
h w feature grid.
"""

from __future__ import annotations

from typing import Optional, Sequence, Tuple

import cv2
import torch
import torch.nn.functional as F
from torch import Tensor

from hvc_mm.registry import TASK_UTILS
from hvc_mm.structures import VOSDataSample

from .mask_codec import MaskCodec


@TASK_UTILS.register_module()
class PartCodec(MaskCodec):
    """As :class:`MaskCodec`, but by way of the network's square input.

    Ids go to the input's size by nearest neighbour, their planes on to the
    grid bilinearly; predictions bilinearly to the input's size, there the
    largest counts, and its id goes to the frame's size by nearest neighbour.
    Bilinear here is OpenCV's: half-pixel centres, no anti-aliasing.

    Args:
        size: Height and width of the network's input in pixels.
        kwargs: See :class:`MaskCodec`.
    """

    def __init__(self, size: Sequence[int] = (560, 560), **kwargs) -> None:
        super().__init__(**kwargs)
        self.size = tuple(size)

    def encode(
        self, sample: VOSDataSample, grid: Tuple[int, int]
    ) -> Optional[Tensor]:
        """Make the planes of the parts that begin in this frame.

        Args:
            sample: May have ``prompt_ids``, uint8 ``(H, W)``.
            grid: ``(h, w)`` of the features.

        Returns:
            ``(1, M, h, w)`` fp32 in [0, 1]; None without new parts.

        Raises:
            ValueError: See ``MaskCodec.encode``.
        """
        if sample.get('prompt_ids', None) is None:
            return None
        square = self._square_sample(sample)
        square.prompt_ids = _nearest(sample.prompt_ids, self.size)
        planes = super().encode(square, self.size)
        return None if planes is None else _bilinear(planes, grid)

    def decode(
        self, soft_labels: Optional[Tensor], sample: VOSDataSample
    ) -> None:
        """Write ``pred_ids``, uint8 ``(H, W)`` at the frame's own size.

        Args:
            soft_labels: ``(1, M, h, w)``, or None before the first part.
            sample: With ``ori_shape``, the frame's ``(H, W)``.
        """
        if soft_labels is None:
            super().decode(None, sample)
            return
        square = self._square_sample(sample)
        super().decode(_bilinear(soft_labels, self.size), square)
        for name in ('pred_ids', 'pred_confidence'):
            if name in square:
                resized = _nearest(square.get(name), sample.ori_shape[:2])
                setattr(sample, name, resized)

    def _square_sample(self, sample: VOSDataSample) -> VOSDataSample:
        """The same frame as the network sees it, without its data."""
        meta = dict(sample.metainfo_items(), ori_shape=self.size)
        return VOSDataSample(metainfo=meta)


def _nearest(image: Tensor, size: Sequence[int]) -> Tensor:
    """``(H, W)`` to ``size`` by OpenCV's nearest neighbour, on the CPU."""
    resized = cv2.resize(
        image.cpu().numpy(),
        (int(size[1]), int(size[0])),
        interpolation=cv2.INTER_NEAREST,
    )
    return torch.from_numpy(resized)


def _bilinear(planes: Tensor, size: Sequence[int]) -> Tensor:
    """``(1, M, H, W)`` to ``size`` with half-pixel centres."""
    return F.interpolate(
        planes, size=tuple(size), mode='bilinear', align_corners=False
    )
