"""From a backbone's output to the unit vectors that are compared.

Shapes: N frames, C channels, h w feature grid.
"""

from __future__ import annotations

from typing import Optional, Sequence, Tuple, Union

import torch
import torch.nn.functional as F
from torch import Tensor

Maps = Union[Tensor, Sequence[Tensor]]


def unit_features(
    maps: Maps, index: Optional[Union[int, Sequence[int]]] = None
) -> Tensor:
    """Choose maps of a backbone's output and L2-normalise over channels.

    Args:
        maps: One ``(N, C, h, w)`` map, or the tuple of them that OpenMMLab
            backbones return.
        index: Which entry of the tuple; several are brought to the grid of
            the first one (bilinear), normalised, and joined. None takes the
            only entry.

    Returns:
        ``(N, sum C, h, w)`` in fp32, of length 1 in every cell.

    Raises:
        ValueError: When an entry isn't there, or None meets several maps.
    """
    if isinstance(maps, Tensor):
        maps = (maps,)
    chosen = _choose(maps, index)
    grid = chosen[0].shape[-2:]
    parts = []
    for features in chosen:
        features = features.float()
        if features.shape[-2:] != grid:
            features = F.interpolate(
                features, size=grid, mode='bilinear', align_corners=False
            )
        parts.append(F.normalize(features, dim=1))
    if len(parts) == 1:
        return parts[0]
    return F.normalize(torch.cat(parts, dim=1), dim=1)


def _choose(
    maps: Sequence[Tensor], index: Optional[Union[int, Sequence[int]]]
) -> Tuple[Tensor, ...]:
    shapes = [tuple(m.shape) for m in maps]
    if index is None:
        if len(maps) != 1:
            raise ValueError(
                f'the backbone returned {len(maps)} maps of shapes {shapes}; '
                'set feature_index to the one (or the several) to use'
            )
        return tuple(maps)
    wanted = (index,) if isinstance(index, int) else tuple(index)
    if not all(-len(maps) <= i < len(maps) for i in wanted):
        raise ValueError(
            f'feature_index {index}, but the backbone returned {len(maps)} '
            f'maps of shapes {shapes}'
        )
    return tuple(maps[i] for i in wanted)
