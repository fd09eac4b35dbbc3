"""Object ids of a mask <-> the label planes that are propagated.

Shapes: M channels (0 is background), H W frame, h w feature grid.
"""

from __future__ import annotations

from typing import List, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from hvc_mm.registry import TASK_UTILS
from hvc_mm.structures import VOSDataSample


@TASK_UTILS.register_module()
class MaskCodec:
    """One-hot planes on the grid, and ids at the frame's size again.

    Channels are given out as objects appear: background, the first frame's
    objects in the order of their ids, then newcomers. So a video holds just
    the channels that it needs, whatever its ids are.

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
        """Make the planes of the objects that begin in this frame.

        Args:
            sample: May have ``prompt_ids``, uint8 ``(H, W)``: the id of each
                new object on its pixels, 0 elsewhere.
            grid: ``(h, w)`` of the features.

        Returns:
            ``(1, M, h, w)`` fp32 in [0, 1], shrunk bilinearly with aligned
            corners; None without new objects. On a video's first mask
            channel 0 holds the background, later only newcomers' channels
            are not zero.

        Raises:
            ValueError: When an id is already being propagated.
        """
        prompt = sample.get('prompt_ids', None)
        if prompt is None:
            return None
        new = [int(i) for i in torch.unique(prompt) if i != 0]
        known = sorted(set(new) & set(self._ids))
        if known:
            raise ValueError(
                f'video {sample.get("video")}, frame '
                f'{sample.get("frame_name")}: the mask brings ids {known} '
                'again; a mask may only hold objects that begin in its frame'
            )
        first = len(self._ids) == 1
        if not new:
            if first:
                raise ValueError(
                    f'video {sample.get("video")}, frame '
                    f'{sample.get("frame_name")}: the first mask holds no '
                    'object'
                )
            return None
        self._ids += new
        planes = torch.stack([prompt == i for i in self._ids]).float()
        if not first:
            planes[0] = 0
        if self.cell_mean:
            return F.adaptive_avg_pool2d(planes[None], grid)
        return F.interpolate(
            planes[None], size=grid, mode='bilinear', align_corners=True
        )

    def decode(self, soft_labels: Optional[Tensor], sample: VOSDataSample):
        """Write ``pred_ids``, uint8 ``(H, W)`` at the frame's own size.

        Args:
            soft_labels: ``(1, M, h, w)``, or None before the first object.
            sample: With ``ori_shape``, the frame's ``(H, W)``.
        """
        size = tuple(sample.ori_shape)
        if soft_labels is None:
            sample.pred_ids = torch.zeros(size, dtype=torch.uint8)
            return
        planes = F.interpolate(
            soft_labels,
            size=size,
            mode='bilinear',
            align_corners=not self.cell_mean,
        )[0]
        if self.stretch:
            low, high = planes.flatten(1).aminmax(dim=1, keepdim=True)
            scale = (high - low).clamp(min=1e-6)
            planes = (planes - low[..., None]) / scale[..., None]
        # Ids in ascending order: a tie goes to the smaller one.
        order = sorted(range(len(self._ids)), key=self._ids.__getitem__)
        if order != list(range(len(order))):
            planes = planes[order]
        confidence, channel = planes.max(dim=0)
        # The only thing that a GPU has to be waited for.
        channel = channel.to(torch.uint8).cpu()
        ids = torch.tensor(sorted(self._ids), dtype=torch.uint8)
        sample.pred_ids = ids[channel.long()]
        if self.with_confidence:
            sample.pred_confidence = confidence.cpu()
