"""Several backbones as one: their weighted features, joined.

Shapes: N frames, C_i channels of member i, h w feature grid.
"""

from __future__ import annotations

from typing import Optional, Sequence, Tuple, Union

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule, ModuleList
from torch import Tensor, nn

from hvc_mm.registry import MODELS

from ..vos.features import unit_features


@MODELS.register_module()
class FeatureEnsemble(BaseModule):
    """``normalise(cat(w_i * normalise(f_i)))`` over several backbones.

    HVC's released test setting joins an HVC ResNet-18 (weight 1.05) and a
    MoCo-v1 ResNet-50 (weight 1) like this.

    Args:
        members: Configs of backbones, from any OpenMMLab registry.
        weights: One factor per member; all 1 by default.
        feature_index: Per member, which of its maps (see
            :func:`~hvc_mm.models.vos.features.unit_features`); None where
            it returns just one.
        init_cfg: mmengine's.

    Raises:
        ValueError: When the numbers of members and weights differ, or the
            members' grids do.
    """

    def __init__(
        self,
        members: Sequence[dict],
        weights: Optional[Sequence[float]] = None,
        feature_index: Optional[
            Sequence[Optional[Union[int, Sequence[int]]]]
        ] = None,
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
        """Compute the joined features.

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
