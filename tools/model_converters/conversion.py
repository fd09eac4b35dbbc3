"""Take a backbone out of a file, and write it with a record of its origin."""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Union

import torch
from torch import Tensor

from hvc_mm.checkpoint import LAYOUTS, compare, find_backbone, sha256_of
from hvc_mm.models.backbones.hvc_resnet import guess_resnet, resnet_shapes
from hvc_mm.version import __version__


@dataclass
class Conversion:
    """A backbone taken out of a checkpoint.

    Attributes:
        state_dict: Its tensors, a ResNet's by torchvision's names.
        layout: Key of :data:`~hvc_mm.checkpoint.LAYOUTS`.
        place: Where in the file the backbone was.
        left_over: Names of the file's other tensors.
        missing: Names that such a ResNet has and the file has not, or has
            in another shape.
        depth: 18, 34, 50 or 101; None for what isn't a ResNet.
        stages: Number of stages that the file holds, 1 to 4; likewise.
        source: Name and sha256 of the file, and what else is known of it.
    """

    state_dict: Dict[str, Tensor]
    layout: str
    place: str
    left_over: List[str]
    missing: List[str] = field(default_factory=list)
    depth: Optional[int] = None
    stages: Optional[int] = None
    source: Dict[str, Any] = field(default_factory=dict)

    @property
    def architecture(self) -> str:
        """``'ResNet-50'`` or ``'not a ResNet'``."""
        return f'ResNet-{self.depth}' if self.depth else 'not a ResNet'

    @property
    def note(self) -> str:
        """What a user of the weights must set; empty when nothing."""
        return LAYOUTS[self.layout].note

    def record(self) -> Dict[str, Any]:
        """Say where the weights are from, in plain values for json."""
        return {
            **self.source,
            'layout': self.layout,
            'place': self.place,
            'architecture': self.architecture,
            'stages': self.stages,
            'matched': len(self.state_dict),
            'left_over': len(self.left_over),
            'missing': len(self.missing),
            'note': self.note,
            'converted_by': f'hvc_mm {__version__}',
        }

    def save(self, path: Union[str, Path]) -> None:
        """Write the plain state dict with its record.

        The record is the state dict's attribute ``record``, which torch
        keeps, and, for people, the file ``PATH.json``.

        Args:
            path: Where to.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        state_dict = OrderedDict(self.state_dict)
        state_dict.record = self.record()
        torch.save(state_dict, path)
        text = json.dumps(self.record(), indent=2) + '\n'
        path.with_name(f'{path.name}.json').write_text(text)


def convert_checkpoint(
    checkpoint: Dict[str, Any],
    path: Union[str, Path],
    layout: str = 'auto',
) -> Conversion:
    """Take the ResNet out of what a checkpoint holds.

    Args:
        checkpoint: The file's content.
        path: The file, for the record.
        layout: A key of :data:`~hvc_mm.checkpoint.LAYOUTS`, or ``'auto'``.

    Returns:
        The ResNet in it.

    Raises:
        CheckpointError: When there is no ResNet in this layout.
    """
    found = find_backbone(checkpoint, layout)
    depth, stages = guess_resnet(found.tensors)
    state_dict, missing = compare(found.tensors, resnet_shapes(depth, stages))
    others = [name for name in found.tensors if name not in state_dict]
    return Conversion(
        state_dict,
        found.layout,
        found.place,
        others + found.left_over,
        missing,
        depth,
        stages,
        source_of(path),
    )


def source_of(path: Union[str, Path]) -> Dict[str, str]:
    """Name a file for the record.

    Args:
        path: The file.

    Returns:
        Its name and sha256.
    """
    return {'source': Path(path).name, 'sha256': sha256_of(path)}
