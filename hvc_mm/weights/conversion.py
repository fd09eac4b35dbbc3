"""From a checkpoint of any known layout to a plain state dict of a ResNet."""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple, Union

import torch
from torch import Tensor

from hvc_mm.models.backbones.hvc_resnet import ARCHITECTURES, HVCResNet
from hvc_mm.version import __version__

from .checkpoint_file import CheckpointError, read_checkpoint, sha256_of
from .layouts import LAYOUTS, Found, find_backbone

__all__ = ['Conversion', 'convert_checkpoint', 'convert_file', 'read_record']

# Old checkpoints don't count a batch norm's batches; nothing reads it here.
_OPTIONAL = 'num_batches_tracked'


@dataclass
class Conversion:
    """A backbone taken out of a checkpoint.

    Attributes:
        state_dict: Its tensors, a ResNet's by torchvision's names.
        layout: Key of :data:`~hvc_mm.weights.layouts.LAYOUTS`.
        place: Where in the file the backbone was.
        depth: 18, 34, 50 or 101; None for what isn't a ResNet.
        stages: Number of stages that the file holds, 1 to 4; likewise.
        left_over: Names of the file's other tensors.
        missing: Names that such a ResNet has and the file has not, or has
            in another shape.
        source: Name and sha256 of the file, and what else is known of it.
    """

    state_dict: Dict[str, Tensor]
    layout: str
    place: str
    depth: Optional[int]
    stages: Optional[int]
    left_over: List[str]
    missing: List[str]
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

        The record is the state dict's attribute ``record`` (torch keeps
        it; :func:`read_record` reads it) and, for people, ``PATH.json``.

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


def read_record(path: Union[str, Path]) -> Optional[Dict[str, Any]]:
    """Read what :meth:`Conversion.save` noted about a file of weights.

    Args:
        path: The file of weights.

    Returns:
        The record; None where the file has none.

    Raises:
        CheckpointError: When the file can't be read.
    """
    return getattr(read_checkpoint(path), 'record', None)


def convert_file(path: Union[str, Path], layout: str = 'auto') -> Conversion:
    """Read a file of any known layout.

    Args:
        path: A checkpoint.
        layout: A key of :data:`~hvc_mm.weights.layouts.LAYOUTS`, or
            ``'auto'``.

    Returns:
        The ResNet in it.

    Raises:
        CheckpointError: When the file can't be read safely or holds no
            ResNet in this layout; the message names the file.
    """
    checkpoint = read_checkpoint(path)
    try:
        conversion = convert_checkpoint(checkpoint, layout)
    except CheckpointError as error:
        raise CheckpointError(f'{path}: {error}') from None
    conversion.source = {
        'source': Path(path).name,
        'sha256': sha256_of(path),
    }
    return conversion


def convert_checkpoint(
    checkpoint: Dict[str, Any], layout: str = 'auto'
) -> Conversion:
    """Take the ResNet out of what a checkpoint holds.

    Args:
        checkpoint: The file's content.
        layout: A key of :data:`~hvc_mm.weights.layouts.LAYOUTS`, or
            ``'auto'``.

    Returns:
        The ResNet, without a source.

    Raises:
        CheckpointError: When there is no ResNet in this layout.
    """
    found = find_backbone(checkpoint, layout)
    for name, tensor in found.tensors.items():
        # A count is a scalar; some files have it with one dimension.
        if name.endswith(_OPTIONAL) and tensor.numel() == 1:
            found.tensors[name] = tensor.reshape(()).long()
    stages = sum(
        any(name.startswith(f'layer{stage}.') for name in found.tensors)
        for stage in (1, 2, 3, 4)
    )
    depth = max(ARCHITECTURES, key=lambda d: _fit(found, d, stages))
    expected = _shapes(depth, stages)
    matched = _matching(found, expected)
    missing = [
        name
        for name in expected
        if name not in matched and not name.endswith(_OPTIONAL)
    ]
    beside = [name for name in found.tensors if name not in matched]
    return Conversion(
        state_dict={name: found.tensors[name] for name in matched},
        layout=found.layout,
        place=found.place,
        depth=depth,
        stages=stages,
        left_over=beside + found.left_over,
        missing=missing,
    )


def _fit(found: Found, depth: int, stages: int) -> Tuple[int, int]:
    """Rank a depth: what it finds less what it lacks; the smaller one."""
    expected = _shapes(depth, stages)
    matched = len(_matching(found, expected))
    return 2 * matched - len(expected), -depth


def _matching(found: Found, expected: Dict[str, torch.Size]) -> List[str]:
    return [
        name
        for name, shape in expected.items()
        if name in found.tensors and found.tensors[name].shape == shape
    ]


@lru_cache(maxsize=None)
def _shapes(depth: int, stages: int) -> Dict[str, torch.Size]:
    """Names and shapes of a ResNet's tensors; no memory is taken."""
    with torch.device('meta'):
        network = HVCResNet(depth, out_indices=(stages - 1,))
    return {k: v.shape for k, v in network.state_dict().items()}
