"""From backbones' maps to the unit vectors that are compared.

`unit_features` chooses maps of one backbone and normalises them;
`FeatureEnsemble` makes several backbones one.

Shapes: N frames, C channels, C_i channels of member i, h w feature grid.
"""

from __future__ import annotations

from typing import List, Optional, Sequence, Tuple, Union

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule, ModuleList
from torch import Tensor, nn

from hvc_mm.registry import MODELS

__all__ = ['FeatureEnsemble', 'check_grid', 'unit_features']

Index = Optional[Union[int, Sequence[int]]]

# Cells that a network without padding loses at the borders: torchvision's
# Inception v3 has 35 columns where 299 / 8 would be 37.4.
_LOST_CELLS = 3


def check_grid(shape: Sequence[int], size: Tuple[int, int]) -> None:
    """Refuse a map whose grid is not the image's size over a whole stride.

    Args:
        shape: Of a map, to be ``(N, C, h, w)``.
        size: ``(H, W)`` of the images.

    Raises:
        ValueError: When no whole stride fits ``h`` and ``w``: mostly a map
            of ``(N, h, w, C)``, as torchvision's Swin has them.
    """
    sides = list(zip(size, shape[2:]))
    smallest = min(side // (cells + _LOST_CELLS + 1) for side, cells in sides)
    # A side of few cells bounds nothing: all of them may have been lost.
    largest = max(-(-side // max(1, n - _LOST_CELLS)) for side, n in sides)
    for stride in range(max(1, smallest), largest + 1):
        lost = [side / stride - cells for side, cells in sides]
        if max(map(abs, lost)) <= _LOST_CELLS:
            return
    raise ValueError(
        f'the backbone gives a map of shape {tuple(shape)} for images of '
        f'{size[0]}x{size[1]}: a grid of {shape[2]}x{shape[3]} is not '
        'proportional to them; expected (N, C, h, w), is it (N, h, w, C)?'
    )


def unit_features(
    maps: Union[Tensor, Sequence[Tensor]],
    index: Index = None,
    size: Optional[Tuple[int, int]] = None,
    stride: Optional[int] = None,
) -> Tensor:
    """Choose maps of a backbone's output and L2-normalise over channels.

    Args:
        maps: One ``(N, C, h, w)`` map, or the tuple of them that OpenMMLab
            backbones return.
        index: Which entry of the tuple; several are brought to the grid of
            the first one (bilinear), normalised, and concatenated. None
            takes the only entry.
        size: ``(H, W)`` of the images; the maps' grids must fit it. None
            checks nothing.
        stride: Bring every map to ``H // stride`` by ``W // stride`` cells
            (bilinear) before it is normalised; needs ``size``. None keeps
            the first one's grid.

    Returns:
        ``(N, sum C, h, w)`` in fp32, of length 1 in every cell.

    Raises:
        ValueError: When an entry isn't there, None meets several maps, or a
            grid does not fit.
    """
    chosen = _choose((maps,) if isinstance(maps, Tensor) else maps, index)
    grid = chosen[0].shape[-2:]
    if stride is not None:
        grid = torch.Size([max(1, side // stride) for side in size])
    parts = []
    for features in chosen:
        if size is not None:
            check_grid(features.shape, size)
        features = features.float()
        if features.shape[-2:] != grid:
            features = F.interpolate(
                features, size=grid, mode='bilinear', align_corners=False
            )
        parts.append(F.normalize(features, dim=1))
    if len(parts) == 1:
        return parts[0]
    return F.normalize(torch.cat(parts, dim=1), dim=1)


def _choose(maps: Sequence[Tensor], index: Index) -> List[Tensor]:
    shapes = [tuple(m.shape) for m in maps]
    if index is None and len(maps) != 1:
        raise ValueError(
            f'the backbone returned {len(maps)} maps of shapes {shapes}; '
            'set feature_index to the one (or the several) to use'
        )
    wanted = [index or 0] if not isinstance(index, Sequence) else list(index)
    if not all(-len(maps) <= i < len(maps) for i in wanted):
        raise ValueError(
            f'feature_index {index}, but the backbone returned {len(maps)} '
            f'maps of shapes {shapes}'
        )
    return [maps[i] for i in wanted]


@MODELS.register_module()
class FeatureEnsemble(BaseModule):
    """Compute ``normalise(cat(w_i * normalise(f_i)))`` of several backbones.

    HVC's released test setting combines an HVC ResNet-18 (weight 1.05) and a
    MoCo-v1 ResNet-50 (weight 1) like this.

    Args:
        members: Configs of backbones, from any OpenMMLab registry.
        weights: One factor per member; all 1 by default.
        feature_index: Per member, which of its maps (see
            :func:`unit_features`); None where it returns just one.
        init_cfg: mmengine's.

    Raises:
        ValueError: When the numbers of members and weights differ, or the
            members' grids do.
    """

    def __init__(
        self,
        members: Sequence[dict],
        weights: Optional[Sequence[float]] = None,
        feature_index: Optional[Sequence[Index]] = None,
        init_cfg: Optional[dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        weights = [1.0] * len(members) if weights is None else list(weights)
        index = feature_index or [None] * len(members)
        if not members or not len(members) == len(weights) == len(index):
            raise ValueError(
                f'FeatureEnsemble: {len(members)} members, {len(weights)} '
                f'weights and {len(index)} entries of feature_index'
            )
        # mmengine's: in torch's own list no member's init_cfg is found.
        self.members = ModuleList(MODELS.build(cfg) for cfg in members)
        self.weights = weights
        self.feature_index = list(index)

    @property
    def primary(self) -> nn.Module:
        """The member that a checkpoint on the command line is meant for."""
        return self.members[0]

    def forward(self, x: Tensor) -> Tuple[Tensor]:
        """Compute the weighted, concatenated features.

        Args:
            x: Normalised images, ``(N, 3, H, W)``.

        Returns:
            One map, ``(N, sum C_i, h, w)``, of length 1 in every cell.
        """
        parts = [
            weight * unit_features(member(x), index, tuple(x.shape[2:]))
            for member, weight, index in zip(
                self.members, self.weights, self.feature_index
            )
        ]
        grids = [tuple(part.shape[-2:]) for part in parts]
        if len(set(grids)) > 1:
            raise ValueError(
                f'FeatureEnsemble: the members give grids {grids} for an '
                f'image of {tuple(x.shape[-2:])}; choose strides that agree'
            )
        return (F.normalize(torch.cat(parts, dim=1), dim=1),)
