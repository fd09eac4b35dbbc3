"""Pictures of features: main directions, likeness to a place.

C: channels, h w: feature grid, H W: height and width of a frame in pixels.
"""

from __future__ import annotations

from typing import Iterable, Optional, Tuple

import cv2
import numpy as np
import torch
from torch import Tensor

# Cells of each map that the basis is made from. 64 maps of 256 channels are
# then 134 MB, however large the frames are, and colours no longer change.
_CELLS_PER_MAP = 1024


class FeaturePCA:
    """Show the main directions of features as red, green and blue.

    One basis is made from some maps of a video (:func:`torch.pca_lowrank`),
    so that a colour means the same in all frames. A map is then shown by its
    projections on the three main directions, in units of their standard
    deviations; grey is the mean.

    Args:
        maps: ``(C, h, w)`` each, at least one, C at least 3.
        spread: Standard deviations on either side of the mean that the
            colours span.

    Raises:
        ValueError: No map, another shape, or maps that differ in C.

    Example:
        >>> maps = torch.rand(4, 16, 8, 8)
        >>> FeaturePCA(maps).to_rgb(maps[0]).shape
        (8, 8, 3)
    """

    def __init__(self, maps: Iterable[Tensor], spread: float = 2.0) -> None:
        self.channels: Optional[int] = None
        rows = [self._rows(features, _CELLS_PER_MAP) for features in maps]
        if not rows:
            raise ValueError('expected at least one map (C, h, w), found none')
        cells = torch.cat(rows)
        self.mean = cells.mean(0)
        # The decomposition begins with random vectors: a seed of its own
        # gives the same colours again, and leaves the process's alone.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            _, sizes, basis = torch.pca_lowrank(
                cells, q=min(12, *cells.shape), niter=4
            )
        basis, sizes = basis[:, :3], sizes[:3]
        # A direction's sign is arbitrary; its largest component is positive.
        largest = basis.gather(0, basis.abs().argmax(0)[None])
        self.basis = basis * largest.sign()
        # A direction without variance has no colour rather than noise.
        deviation = (sizes / len(cells) ** 0.5).clamp(min=1e-12)
        self._unit = deviation * spread

    def to_rgb(
        self, features: Tensor, size: Optional[Tuple[int, int]] = None
    ) -> np.ndarray:
        """Turn a map into colours.

        Args:
            features: ``(C, h, w)``.
            size: Height and width ``(H, W)`` of the picture; the projections
                are enlarged to it (bicubic), so that no cells are seen. By
                default a pixel is a cell.

        Returns:
            uint8 ``(H, W, 3)``, or ``(h, w, 3)``.

        Raises:
            ValueError: Another shape, or another C than the basis has.
        """
        projected = (self._rows(features) - self.mean) @ self.basis
        level = 0.5 + 0.5 * projected / self._unit
        level = level.numpy().reshape(*features.shape[1:], 3)
        if size is not None:
            level = cv2.resize(
                level, size[::-1], interpolation=cv2.INTER_CUBIC
            )
        return (level.clip(0, 1) * 255).round().astype(np.uint8)

    def _rows(self, features: Tensor, most: Optional[int] = None) -> Tensor:
        """``(C, h, w)`` -> ``(cells, C)`` float64, evenly chosen cells."""
        channels = self.channels or 'C >= 3'
        if (
            features.ndim != 3
            or len(features) < 3
            or len(features) != (self.channels or len(features))
        ):
            raise ValueError(
                f'features must be ({channels}, h, w), not '
                f'{tuple(features.shape)}'
            )
        self.channels = len(features)
        rows = features.detach().flatten(1).T.cpu().double()
        if most is None or len(rows) <= most:
            return rows
        return rows[torch.linspace(0, len(rows) - 1, most).long()]


def point_affinity(
    query: Tensor, features: Tensor, temperature: float = 0.1
) -> Tuple[Tensor, float]:
    """Compute how alike one feature and every cell of a frame are.

    These are the weights that propagation would give to the frame's cells, a
    softmax of cosines over ``temperature``, in units of the largest one. The
    cosine of the most similar cell, which these units hide, is returned too:

        ``exp((s - max s) / temperature)``, ``s`` the cosines

    Args:
        query: ``(C,)``, of unit length: the chosen place's feature.
        features: ``(C, h, w)``, of unit length in every cell.
        temperature: > 0; the smaller, the sharper.

    Returns:
        ``(h, w)`` in (0, 1], 1 at the most similar cell, and its cosine.

    Raises:
        ValueError: Shapes that don't fit, a temperature that is not > 0.
    """
    if query.ndim != 1 or features.ndim != 3 or len(query) != len(features):
        raise ValueError(
            'expected a feature (C,) and a map (C, h, w), got '
            f'{tuple(query.shape)} and {tuple(features.shape)}'
        )
    if not temperature > 0:
        raise ValueError(f'temperature must be > 0, not {temperature}')
    cosine = torch.einsum('c,chw->hw', query, features)
    largest = cosine.max()
    return torch.exp((cosine - largest) / temperature), float(largest)


def overlay_heat(
    image: np.ndarray,
    heat: np.ndarray,
    alpha: float = 0.6,
    point: Optional[Tuple[float, float]] = None,
) -> np.ndarray:
    """Show a map of values over a frame, from blue (0) to red (1).

    Args:
        image: RGB, uint8 ``(H, W, 3)``.
        heat: ``(h, w)`` float; it is enlarged bilinearly, and values are
            clipped to [0, 1], the same in every frame.
        alpha: Opacity where the value is 1, 0 to 1; a quarter of it at 0.
        point: x and y in pixels of a place to show as a cross.

    Returns:
        A new RGB image, uint8 ``(H, W, 3)``.

    Raises:
        ValueError: ``heat`` has another shape.
    """
    if heat.ndim != 2:
        raise ValueError(f'a heat map must be (h, w), not {heat.shape}')
    height, width = image.shape[:2]
    heat = cv2.resize(heat.astype(np.float32), (width, height)).clip(0, 1)
    level = (heat * 255).round().astype(np.uint8)
    colors = cv2.applyColorMap(level, cv2.COLORMAP_JET)[..., ::-1]
    # Low values hide little, so that the frame can still be seen.
    weight = alpha * (0.25 + 0.75 * heat)[..., None]
    out = (image * (1 - weight) + colors * weight).round().astype(np.uint8)
    if point is not None:
        at = (int(round(point[0])), int(round(point[1])))
        size = 2 * max(6, height // 50)
        for level, thickness in ((0, 4), (255, 2)):
            cv2.drawMarker(
                out, at, (level,) * 3, cv2.MARKER_CROSS, size, thickness
            )
    return out
