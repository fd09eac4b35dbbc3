"""Data preprocessors: from 8-bit batches to normalised tensors.

Shapes: N images or frames, H W their size in pixels.
"""

from __future__ import annotations

from itertools import groupby
from typing import Any, Sequence

import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from hvc_mm.registry import MODELS

__all__ = [
    'Normalisation',
    'PairedViewsDataPreprocessor',
    'VOSDataPreprocessor',
]

# ImageNet's mean and standard deviation, R, G and B on the scale 0..255.
_IMAGENET_MEAN = (123.675, 116.28, 103.53)
_IMAGENET_STD = (58.395, 57.12, 57.375)


class Normalisation(BaseDataPreprocessor):
    """Move 8-bit images to the device, then reorder and normalise them.

    The images travel as uint8, a quarter of float32's bytes. This base class
    knows how one batch is normalised; those derived from it know how a
    batch looks.

    Args:
        mean: Mean of each channel on the scale 0..255, in the order of the
            channels after ``bgr_to_rgb``.
        std: Standard deviation of each channel, likewise.
        bgr_to_rgb: Reverse the channels first.
        channels_last: Return ``(N, C, H, W)`` in channels-last memory.
        non_blocking: Copy to the device without waiting; that pays where
            the data loader pins memory.

    Raises:
        ValueError: Not three means and three positive deviations.
    """

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        bgr_to_rgb: bool = True,
        channels_last: bool = False,
        non_blocking: bool = True,
    ) -> None:
        super().__init__(non_blocking=non_blocking)
        if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
            raise ValueError(
                f'mean and std must be three numbers each, std positive; '
                f'found {tuple(mean)} and {tuple(std)}'
            )
        # Buffers follow the model to its device but are no weights of it.
        for name, values in (('mean', mean), ('std', std)):
            buffer = torch.tensor(values, dtype=torch.float32)
            self.register_buffer(name, buffer.view(1, 3, 1, 1), False)
        self.bgr_to_rgb = bgr_to_rgb
        self.channels_last = channels_last

    def normalise(self, images: Tensor) -> Tensor:
        """Compute ``(image - mean) / std`` on the device.

        Args:
            images: ``(N, 3, H, W)`` uint8 or float, values 0..255.

        Returns:
            ``(N, 3, H, W)`` float32.

        Raises:
            ValueError: Another shape.
        """
        if images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(
                'a batch of images must be (N, 3, H, W), not '
                f'{tuple(images.shape)}'
            )
        images = images.to(self.device, non_blocking=self._non_blocking)
        if self.bgr_to_rgb:
            images = images.flip(1)
        if self.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        # 8 bit minus float is a new float tensor: the input stays as it was.
        return torch.sub(images, self.mean).div_(self.std)


@MODELS.register_module()
class PairedViewsDataPreprocessor(Normalisation):
    """Normalise both views of a batch; see :class:`Normalisation`.

    Example:
        >>> preprocessor = PairedViewsDataPreprocessor(
        ...     mean=(125.3, 123.0, 113.9), std=(51.6, 50.8, 51.3))
        >>> views = [torch.zeros(4, 3, 256, 256, dtype=torch.uint8)] * 2
        >>> out = preprocessor(dict(inputs=views, data_samples=[None] * 4))
        >>> len(out['inputs']), out['inputs'][0].dtype
        (2, torch.float32)
    """

    def forward(self, data: dict, training: bool = False) -> dict:
        """Normalise ``data['inputs']``.

        Args:
            data: ``inputs``: two ``(N, 3, H, W)`` tensors, or two lists of N
                ``(3, H, W)`` ones; ``data_samples``: returned as they are,
                boxes stay on the CPU.
            training: Makes no difference.

        Returns:
            ``inputs``, two ``(N, 3, H, W)`` float32 tensors on the device,
            and ``data_samples``.

        Raises:
            ValueError: Not two views, or images of another shape.
        """
        views = data['inputs']
        if len(views) != 2:
            raise ValueError(f'expected two views, found {len(views)}')
        views = [
            view if isinstance(view, Tensor) else torch.stack(list(view))
            for view in views
        ]
        return dict(
            inputs=[self.normalise(view) for view in views],
            data_samples=data.get('data_samples'),
        )


@MODELS.register_module()
class VOSDataPreprocessor(Normalisation):
    """Normalise a list of frames, whose sizes may differ between videos.

    Args:
        mean: Mean of R, G and B on the scale 0..255; ImageNet's by default.
        std: Standard deviations likewise.
        **kwargs: See :class:`Normalisation`.
    """

    def __init__(
        self,
        mean: Sequence[float] = _IMAGENET_MEAN,
        std: Sequence[float] = _IMAGENET_STD,
        **kwargs: Any,
    ) -> None:
        super().__init__(mean=mean, std=std, **kwargs)

    def forward(self, data: dict, training: bool = False) -> dict:
        """Normalise ``data['inputs']``.

        Args:
            data: ``inputs``: N frames ``(3, H, W)`` of one or several sizes,
                as a list or stacked; ``data_samples``: returned as they are,
                prompts stay on the CPU.
            training: Makes no difference.

        Returns:
            ``inputs``, a list of N ``(3, H, W)`` float32 tensors on the
            device, neighbours of one size normalised in one go; and
            ``data_samples``.

        Raises:
            ValueError: A frame of another shape than ``(3, H, W)``.
        """
        frames = list(data['inputs'])
        normalised = []
        for _, run in groupby(frames, key=lambda frame: frame.shape):
            normalised.extend(self.normalise(torch.stack(list(run))))
        return dict(inputs=normalised, data_samples=data.get('data_samples'))
