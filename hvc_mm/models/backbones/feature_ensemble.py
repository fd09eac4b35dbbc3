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

__all__ = ['FeatureEnsemble', 'unit_features']

Index = Optional[Union[int, Sequence[int]]]


def unit_features(
    maps: Union[Tensor, Sequence[Tensor]], index: Index = None
) -> Tensor:
    """Choose maps of a backbone's output and L2-normalise over channels.

    Args:
        maps: One ``(N, C, h, w)`` map, or the tuple of them that OpenMMLab
            backbones return.
        index: Which entry of the tuple; several are brought to the grid of
            the first one (bilinear), normalised, and concatenated. None
            takes the only entry.

    Returns:
        ``(N, sum C, h, w)`` in fp32, of length 1 in every cell.

    Raises:
        ValueError: When an entry isn't there, or None meets several maps.
    """
    chosen = _choose((maps,) if isinstance(maps, Tensor) else maps, index)
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
            weight * unit_features(member(x), index)
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
