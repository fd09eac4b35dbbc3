"""From frames of videos to what a propagation model's backbone takes."""

from __future__ import annotations

from itertools import groupby
from typing import Sequence

import torch

from hvc_mm.registry import MODELS

from .normalisation import Normalisation

_IMAGENET_MEAN = (123.675, 116.28, 103.53)
_IMAGENET_STD = (58.395, 57.12, 57.375)


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
        **kwargs,
    ) -> None:
        super().__init__(mean=mean, std=std, **kwargs)

    def forward(self, data: dict, training: bool = False) -> dict:
        """Normalise ``data['inputs']``.

        Args:
            data: ``inputs``: N frames ``(3, H, W)`` of one or several sizes,
                as a list or stacked; ``data_samples``: handed on as they
                are, prompts stay on the CPU.
            training: Makes no difference.

        Returns:
            dict: ``inputs``, a list of N ``(3, H, W)`` float32 tensors on
            the device, neighbours of one size normalised in one go; and
            ``data_samples``.

        Raises:
            ValueError: A frame of another shape than ``(3, H, W)``.
        """
        frames = list(data['inputs'])
        normalised = []
        for _, run in groupby(frames, key=lambda frame: frame.shape):
            normalised.extend(self.normalise(torch.stack(list(run))))
        return dict(inputs=normalised, data_samples=data.get('data_samples'))
