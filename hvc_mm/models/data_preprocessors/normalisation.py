"""Normalising 8-bit images on the device that the model runs on."""

from __future__ import annotations

from typing import Sequence

import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor


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
        channels_last: Hand on ``(N, C, H, W)`` in channels-last memory.
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
        """``(image - mean) / std`` on the device.

        Args:
            images: ``(N, 3, H, W)`` uint8 or float, values 0..255.

        Returns:
            Tensor: ``(N, 3, H, W)`` float32.

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
