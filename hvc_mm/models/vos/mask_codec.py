"""Encode masks of objects or parts as label channels, and decode them.

A codec encodes a frame's annotation as soft labels on the grid of the
features, and decodes propagated soft labels to a prediction at the frame's
size. It knows which channel is which object.

Shapes: M label channels (0 is background), H W frame, h w feature grid.
"""

from __future__ import annotations

from typing import Any, List, Optional, Sequence, Tuple

import cv2
import torch
import torch.nn.functional as F
from torch import Tensor

from hvc_mm.registry import TASK_UTILS
from hvc_mm.structures import VOSDataSample

__all__ = ['MaskCodec', 'PartCodec']


@TASK_UTILS.register_module()
class MaskCodec:
    """Encode object ids one-hot on the grid, decode ids at the frame's size.

    Channels are given out as objects appear: background, the first frame's
    objects in the order of their ids, then new objects. So a video holds
    just the channels that it needs, whatever its ids are.

    Args:
        with_confidence: Also write ``pred_confidence``, the largest soft
            label of every pixel.
        stretch: Bring every channel to the range [0, 1] before the largest
            is taken, as the evaluation of DINO does (arXiv 2104.14294, its
            public code). It helps small objects; HVC's protocol does
            without.
        cell_mean: Shrink by the mean over each cell and enlarge about the
            cells' centres; HVC's protocol samples with aligned corners
            both ways.
    """

    def __init__(
        self,
        with_confidence: bool = False,
        stretch: bool = False,
        cell_mean: bool = False,
    ) -> None:
        self.with_confidence = with_confidence
        self.stretch = stretch
        self.cell_mean = cell_mean
        self.reset()

    def reset(self) -> None:
        """Forget the objects of the last video."""
        self._ids: List[int] = [0]

    def encode(
        self, sample: VOSDataSample, grid: Tuple[int, int]
    ) -> Optional[Tensor]:
        """Make the label channels of the objects that begin in this frame.

        Args:
            sample: May have ``prompt_ids``, uint8 ``(H, W)``: the id of each
                new object on its pixels, 0 elsewhere.
            grid: ``(h, w)`` of the features.

        Returns:
            ``(1, M, h, w)`` fp32 in [0, 1]; None without new objects. On a
            video's first mask channel 0 holds the background, later only
            the new objects' channels are not zero.

        Raises:
            ValueError: When an id is already being propagated, or a video's
                first mask is empty.
        """
        prompt = sample.get('prompt_ids', None)
        if prompt is None:
            return None
        prompt = self._at_input_size(prompt)
        new = [int(i) for i in torch.unique(prompt) if i != 0]
        where = (
            f'video {sample.get("video")}, frame {sample.get("frame_name")}'
        )
        known = sorted(set(new) & set(self._ids))
        if known:
            raise ValueError(
                f'{where}: the mask brings ids {known} again; a mask may '
                'only hold objects that begin in its frame'
            )
        is_first = len(self._ids) == 1
        if not new:
            if is_first:
                raise ValueError(f'{where}: the first mask holds no object')
            return None
        self._ids += new
        labels = torch.stack([prompt == i for i in self._ids]).float()
        if not is_first:
            labels[0] = 0
        return self._shrink(labels[None], grid)

    def decode(
        self, soft_labels: Optional[Tensor], sample: VOSDataSample
    ) -> Optional[Tensor]:
        """Write ``pred_ids``, uint8 ``(H, W)`` at the frame's own size.

        Args:
            soft_labels: ``(1, M, h, w)``, or None before the first object.
            sample: With ``ori_shape``, the frame's ``(H, W)``.

        Returns:
            The enlarged soft labels that the ids were taken from,
            ``(M, H, W)`` on the labels' device, channels in the order of
            their ids; None before the first object.
        """
        size = tuple(sample.ori_shape[:2])
        if soft_labels is None:
            sample.pred_ids = torch.zeros(size, dtype=torch.uint8)
            return None
        labels = self._enlarge(soft_labels, size)[0]
        if self.stretch:
            low, high = labels.flatten(1).aminmax(dim=1, keepdim=True)
            # A constant channel becomes 0; 1e-6 is far below fp32 labels.
            scale = (high - low).clamp(min=1e-6)
            labels = (labels - low[..., None]) / scale[..., None]
        # Ids in ascending order: a tie goes to the smaller one.
        order = sorted(range(len(self._ids)), key=self._ids.__getitem__)
        if order != list(range(len(order))):
            labels = labels[order]
        confidence, channel = labels.max(dim=0)
        # The only thing that a GPU has to be waited for.
        channel = channel.to(torch.uint8).cpu()
        ids = torch.tensor(sorted(self._ids), dtype=torch.uint8)
        sample.pred_ids = self._at_frame_size(ids[channel.long()], size)
        if self.with_confidence:
            confidence = self._at_frame_size(confidence.cpu(), size)
            sample.pred_confidence = confidence
        return labels

    # The four steps of resampling, in their order.

    def _at_input_size(self, ids: Tensor) -> Tensor:
        """Resize a prompt ``(H, W)`` to where its channels are made."""
        return ids

    def _shrink(self, labels: Tensor, grid: Tuple[int, int]) -> Tensor:
        """Resize one-hot labels ``(1, M, H, W)`` to the grid."""
        if self.cell_mean:
            return F.adaptive_avg_pool2d(labels, grid)
        return F.interpolate(
            labels, size=grid, mode='bilinear', align_corners=True
        )

    def _enlarge(self, labels: Tensor, size: Tuple[int, int]) -> Tensor:
        """Resize soft labels ``(1, M, h, w)`` to where the largest counts."""
        return F.interpolate(
            labels,
            size=size,
            mode='bilinear',
            align_corners=not self.cell_mean,
        )

    def _at_frame_size(self, image: Tensor, size: Tuple[int, int]) -> Tensor:
        """Resize a prediction to the frame's ``(H, W)``."""
        return image


@TASK_UTILS.register_module()
class PartCodec(MaskCodec):
    """Encode parts of persons by way of the network's square input, as CRW
    does for VIP.

    Ids go to the input's size by nearest neighbour, their channels on to the
    grid bilinearly; predictions bilinearly to the input's size, there the
    largest counts, and its id goes to the frame's size by nearest neighbour.
    Bilinear here is OpenCV's: half-pixel centres, no anti-aliasing.

    Args:
        size: Height and width of the network's input in pixels.
        kwargs: See :class:`MaskCodec`.
    """

    def __init__(
        self, size: Sequence[int] = (560, 560), **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.size = tuple(size)

    def _at_input_size(self, ids: Tensor) -> Tensor:
        return _nearest(ids, self.size)

    def _shrink(self, labels: Tensor, grid: Tuple[int, int]) -> Tensor:
        return _bilinear(labels, grid)

    def _enlarge(self, labels: Tensor, size: Tuple[int, int]) -> Tensor:
        return _bilinear(labels, self.size)

    def _at_frame_size(self, image: Tensor, size: Tuple[int, int]) -> Tensor:
        return _nearest(image, size)


def _nearest(image: Tensor, size: Sequence[int]) -> Tensor:
    """Resize ``(H, W)`` by OpenCV's nearest neighbour, on the CPU."""
    resized = cv2.resize(
        image.cpu().numpy(),
        (int(size[1]), int(size[0])),
        interpolation=cv2.INTER_NEAREST,
    )
    return torch.from_numpy(resized)


def _bilinear(labels: Tensor, size: Sequence[int]) -> Tensor:
    """Resize ``(1, M, H, W)`` with half-pixel centres."""
    return F.interpolate(
        labels, size=tuple(size), mode='bilinear', align_corners=False
    )
