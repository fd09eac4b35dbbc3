"""The main directions of features as red, green and blue.

C: channels, h w: feature grid.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


class FeaturePCA:
    """One basis for a whole video, so that colours mean the same throughout.

    Features are added map by map; only their sums and products are kept,
    ``C x C`` numbers, however long the video is. Then every map can be
    turned into colours: its projections on the three main directions, in
    units of their standard deviations.

    Args:
        spread: Standard deviations on either side of the mean that the
            colours span.

    Example:
        >>> pca = FeaturePCA()
        >>> maps = torch.rand(4, 16, 8, 8)
        >>> for features in maps:
        ...     pca.add(features)
        >>> pca.to_rgb(maps[0]).shape
        (8, 8, 3)
    """

    def __init__(self, spread: float = 2.0) -> None:
        self.spread = spread
        self.count = 0
        self._basis = None

    def add(self, features: Tensor) -> None:
        """Take a map into account.

        Args:
            features: ``(C, h, w)``.

        Raises:
            ValueError: Another shape, or another C than before.
        """
        rows = self._rows(features)
        if self.count == 0:
            channels = rows.shape[1]
            self._sum = rows.new_zeros(channels)
            self._products = rows.new_zeros(channels, channels)
        self.count += len(rows)
        self._sum += rows.sum(0)
        self._products += rows.T @ rows
        self._basis = None

    def _rows(self, features: Tensor) -> Tensor:
        if features.ndim != 3 or (
            self.count and len(features) != len(self._sum)
        ):
            wanted = len(self._sum) if self.count else 'C'
            raise ValueError(
                f'features must be ({wanted}, h, w), not '
                f'{tuple(features.shape)}'
            )
        # Sums of millions of products need more digits than fp32 has.
        return features.detach().flatten(1).T.double()

    def basis(self) -> Tensor:
        """The directions.

        Returns:
            ``(C, 3)`` float64 orthonormal, the greatest variance first; the
            component of greatest size is positive, so that the same video
            gives the same colours again.

        Raises:
            RuntimeError: No features were added, or fewer than 3 channels.
        """
        if self._basis is None:
            if self.count == 0 or len(self._sum) < 3:
                raise RuntimeError(
                    f'{self.count} features were added; expected some, of 3 '
                    'channels or more'
                )
            self._mean = self._sum / self.count
            covariance = self._products / self.count - torch.outer(
                self._mean, self._mean
            )
            values, vectors = torch.linalg.eigh(covariance)
            vectors = vectors[:, -3:].flip(1)
            largest = vectors.abs().argmax(0)
            signs = vectors.gather(0, largest[None]).sign()
            self._basis = vectors * signs
            self._deviation = values[-3:].flip(0).clamp(min=0).sqrt()
        return self._basis

    def to_rgb(self, features: Tensor) -> np.ndarray:
        """Colours of a map.

        Args:
            features: ``(C, h, w)``.

        Returns:
            uint8 ``(h, w, 3)``; grey where a feature is the mean.
        """
        basis = self.basis()
        projected = (self._rows(features) - self._mean) @ basis
        # A direction without variance has no colour rather than noise.
        unit = self._deviation.clamp(min=1e-12) * self.spread
        level = (0.5 + 0.5 * projected / unit).clamp(0, 1)
        rgb = (level * 255).round().to(torch.uint8).cpu().numpy()
        return rgb.reshape(*features.shape[1:], 3)
