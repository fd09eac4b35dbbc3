"""Encode masks of objects or parts as label channels, and decode them.

A codec encodes a frame's annotation as soft labels on the grid of the
features, and decodes propagated soft labels to a prediction at the frame's
size. It knows which channel is which object.

Shapes: M label channels (0 is background), H W frame, h w feature grid.
"""

from __future__ import annotations

import warnings
from typing import Any, Dict, List, Optional, Sequence, Tuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from hvc_mm.registry import TASK_UTILS
from hvc_mm.structures import VOSDataSample
from hvc_mm.utils.protocols import read_protocol

__all__ = ['MaskCodec', 'PartCodec']

# How label channels are resized. 'aligned' is bilinear with the corners
# aligned, 'bilinear' with half-pixel centres; 'mean' is that over each cell;
# 'nearest' and 'nearest-exact' are torch's, 'pil-nearest' is Pillow's.
_SHRINK = ('aligned', 'bilinear', 'mean', 'pil-nearest', 'nearest-exact')
_ENLARGE = ('aligned', 'bilinear', 'nearest')


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
        cell_mean: The same as ``shrink='mean', enlarge='bilinear'``.
        shrink: How one-hot labels go to the grid: ``'aligned'`` (bilinear
            with aligned corners, HVC's), ``'bilinear'`` (half-pixel
            centres), ``'mean'`` (over each cell), ``'pil-nearest'``
            (Pillow's nearest neighbour) or ``'nearest-exact'`` (torch's).
        enlarge: How soft labels go to the frame: ``'aligned'``,
            ``'bilinear'`` or ``'nearest'`` (torch's).
        decide_at_input: Enlarge them to the network's input (``img_shape``
            of the sample), take the largest there, and bring its id to the
            frame by Pillow's nearest neighbour.
        with_soft_labels: Also write ``soft_labels``, all channels at the
            frame's size, of which the largest is the prediction; with the
            background, four bytes a pixel and object.

    Raises:
        ValueError: For an unknown way to resize.
    """

    def __init__(
        self,
        with_confidence: bool = False,
        stretch: bool = False,
        cell_mean: bool = False,
        shrink: str = 'aligned',
        enlarge: str = 'aligned',
        decide_at_input: bool = False,
        with_soft_labels: bool = False,
    ) -> None:
        if cell_mean:
            shrink, enlarge = 'mean', 'bilinear'
        for name, given, known in (
            ('shrink', shrink, _SHRINK),
            ('enlarge', enlarge, _ENLARGE),
        ):
            if given not in known:
                raise ValueError(
                    f'{name} must be one of {", ".join(known)}, got {given!r}'
                )
        self.with_confidence = with_confidence
        self.with_soft_labels = with_soft_labels
        self.stretch = stretch
        self.shrink, self.enlarge = shrink, enlarge
        self.decide_at_input = decide_at_input
        self.reset()

    @staticmethod
    def from_protocol(name: str, **overrides: Any) -> MaskCodec:
        """Make the codec of a published protocol.

        Args:
            name: Of one of ``configs/_base_/protocols``: ``'hvc'``,
                ``'dino'``, ...
            **overrides: Arguments in place of the protocol's.

        Raises:
            ValueError: There is no such protocol; the nearest are named.
        """
        codec = {**read_protocol(name).model.codec, **overrides}
        codec['type'] = f'hvc_mm.{codec["type"]}'
        return TASK_UTILS.build(codec)

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
            the new objects' channels are not zero. The channel of an object
            that is lost on the way to the grid is zero, with a warning.

        Raises:
            ValueError: When an id is already being propagated, or a video's
                first mask is empty.
        """
        prompt = sample.get('prompt_ids', None)
        if prompt is None:
            return None
        new = [int(i) for i in torch.unique(prompt) if i != 0]
        prompt = self._prepare_ids(prompt, sample)
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
        labels = _resize(labels[None], grid, self.shrink)
        lost = [i for i in new if not labels[0, self._ids.index(i)].any()]
        if lost:
            warnings.warn(
                f'{where}: objects {lost} are too small for the grid of '
                f'{grid[0]}x{grid[1]} cells and are not predicted',
                stacklevel=2,
            )
        return labels

    def encode_corrections(
        self, sample: VOSDataSample, grid: Tuple[int, int]
    ) -> Dict[int, Tensor]:
        """Make the labels of objects whose masks are given again.

        Args:
            sample: With ``corrections``, masks ``(H, W)`` bool by object id.
            grid: ``(h, w)`` of the features.

        Returns:
            By label channel, ``(h, w)`` fp32 in [0, 1].

        Raises:
            ValueError: For an object that has not begun.
        """
        unknown = sorted(set(sample.corrections) - set(self._ids))
        if unknown:
            raise ValueError(
                f'video {sample.get("video")}, frame '
                f'{sample.get("frame_name")}: ids {unknown} are corrected '
                'but have not begun'
            )
        labels = {}
        for object_id, mask in sample.corrections.items():
            mask = self._prepare_ids(mask.to(torch.uint8), sample)
            mask = mask.float()[None, None]
            channel = self._ids.index(object_id)
            labels[channel] = _resize(mask, grid, self.shrink)[0, 0]
        return labels

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

        Raises:
            ValueError: A soft label is not a number.
        """
        size = tuple(sample.ori_shape[:2])
        if soft_labels is None:
            sample.pred_ids = torch.zeros(size, dtype=torch.uint8)
            if self.with_soft_labels:
                sample.soft_labels = torch.ones(1, *size)
            return None
        decided_at = self._decision_size(sample)
        labels = _resize(soft_labels, decided_at, self.enlarge)[0]
        if self.stretch:
            low, high = labels.flatten(1).aminmax(dim=1, keepdim=True)
            # A constant channel becomes 0.
            scale = (high - low).masked_fill_(high == low, 1)
            labels = (labels - low[..., None]) / scale[..., None]
        # Ids in ascending order: a tie goes to the smaller one.
        order = sorted(range(len(self._ids)), key=self._ids.__getitem__)
        if order != list(range(len(order))):
            labels = torch.stack([labels[channel] for channel in order])
        confidence, channel = labels.max(dim=0)
        # What is not a number is the largest.
        channel = channel.to(torch.int16).masked_fill_(confidence.isnan(), -1)
        # The only thing that a GPU has to be waited for, so in one piece.
        if self.with_confidence:
            both = torch.stack([confidence, channel.to(confidence)]).cpu()
            confidence, channel = both[0], both[1].to(torch.int16)
        else:
            channel = channel.cpu()
        if channel.min() < 0:
            raise nan_labels_error(sample)
        ids = torch.tensor(sorted(self._ids), dtype=torch.uint8)
        sample.pred_ids = self._at_frame_size(ids[channel.long()], size)
        if self.with_confidence:
            sample.pred_confidence = self._at_frame_size(confidence, size)
        if self.with_soft_labels:
            sample.soft_labels = torch.stack(
                [self._at_frame_size(one, size) for one in labels.cpu()]
            ).float()
        return labels

    def _prepare_ids(self, ids: Tensor, sample: VOSDataSample) -> Tensor:
        """Resize a prompt ``(H, W)`` to where its channels are made."""
        return ids

    def _decision_size(self, sample: VOSDataSample) -> Tuple[int, int]:
        """Tell at which ``(H, W)`` the largest channel counts."""
        size = sample.ori_shape
        if self.decide_at_input:
            size = sample.get('img_shape', size)
        return tuple(size[:2])

    def _at_frame_size(self, image: Tensor, size: Tuple[int, int]) -> Tensor:
        """Resize a prediction to the frame's ``(H, W)``."""
        return _pil_nearest(image, size)


@TASK_UTILS.register_module()
class PartCodec(MaskCodec):
    """Encode parts of persons by way of the network's square input, as CRW
    does for VIP.

    Ids go to the input's size by nearest neighbour, their channels on to the
    grid bilinearly; predictions bilinearly to the input's size, there the
    largest counts, and its id goes to the frame's size by nearest neighbour.
    Bilinear here is OpenCV's: half-pixel centres, no anti-aliasing.

    Args:
        size: Height and width of the network's input in pixels; None for
            the size that the frames have there (``img_shape``).
        shrink: See :class:`MaskCodec`.
        enlarge: Likewise.
        kwargs: Likewise.
    """

    def __init__(
        self,
        size: Optional[Sequence[int]] = (560, 560),
        shrink: str = 'bilinear',
        enlarge: str = 'bilinear',
        **kwargs: Any,
    ) -> None:
        super().__init__(shrink=shrink, enlarge=enlarge, **kwargs)
        self.size = None if size is None else tuple(size)

    def _prepare_ids(self, ids: Tensor, sample: VOSDataSample) -> Tensor:
        return _nearest(ids, self._decision_size(sample))

    def _decision_size(self, sample: VOSDataSample) -> Tuple[int, int]:
        size = self.size or sample.get('img_shape', sample.ori_shape)
        return tuple(size[:2])

    def _at_frame_size(self, image: Tensor, size: Tuple[int, int]) -> Tensor:
        return _nearest(image, size)


def nan_labels_error(sample: VOSDataSample) -> ValueError:
    """Make the error of a frame whose soft labels are not numbers."""
    return ValueError(
        f'video {sample.get("video")}, frame {sample.get("frame_name")}: soft '
        'labels are not numbers, so the features of this frame or of one '
        'before it were not finite'
    )


def _nearest(image: Tensor, size: Sequence[int]) -> Tensor:
    """Resize ``(H, W)`` by OpenCV's nearest neighbour, on the CPU."""
    resized = cv2.resize(
        image.cpu().numpy(),
        (int(size[1]), int(size[0])),
        interpolation=cv2.INTER_NEAREST,
    )
    return torch.from_numpy(resized)


def _resize(labels: Tensor, size: Sequence[int], how: str) -> Tensor:
    """Resize ``(1, M, H, W)``; see ``_SHRINK`` and ``_ENLARGE``."""
    size = tuple(size)
    if how == 'mean':
        return F.adaptive_avg_pool2d(labels, size)
    if how == 'pil-nearest':
        return _pil_nearest(labels, size)
    if how in ('nearest', 'nearest-exact'):
        return F.interpolate(labels, size=size, mode=how)
    return F.interpolate(
        labels, size=size, mode='bilinear', align_corners=how == 'aligned'
    )


def _pil_nearest(image: Tensor, size: Sequence[int]) -> Tensor:
    """Resize ``(..., H, W)`` by Pillow's nearest neighbour."""
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    chosen = []
    for old, new in zip(image.shape[-2:], size):
        # Let Pillow resize the indices of the rows, then of the columns.
        line = Image.fromarray(np.arange(old, dtype=np.int32)[None])
        line = line.resize((int(new), 1), Image.NEAREST)
        chosen.append(torch.from_numpy(np.array(line)[0]).long())
    rows, columns = (index.to(image.device) for index in chosen)
    return image[..., rows[:, None], columns]
