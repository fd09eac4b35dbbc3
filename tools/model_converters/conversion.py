"""Take a backbone out of a file, and write it with a record of its origin."""

from __future__ import annotations

import hashlib
import io
import os.path as osp
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import torch
from torch import Tensor

from hvc_mm.checkpoint import (
    LAYOUTS,
    CheckpointError,
    Size,
    check_complete,
    compare,
    expected_of_vit,
    find_network,
    read_checkpoint,
    sha256_of,
    size_of,
)
from hvc_mm.models.backbones.hvc_resnet import guess_resnet, resnet_shapes
from hvc_mm.utils.files import write_json
from hvc_mm.utils.outputs import claim_file, listed_file
from hvc_mm.version import __version__


@dataclass
class Conversion:
    """A backbone taken out of a checkpoint.

    Attributes:
        state_dict: Name -> tensor of any shape, a ResNet's by torchvision's
            names, a Vision Transformer's by those of DINO and timm.
        layout: Key of :data:`~hvc_mm.checkpoint.LAYOUTS`; empty where none
            of them fits.
        place: Where in the file the backbone was.
        left_over: Names of the file's other tensors.
        depth: 18, 34, 50 or 101; None for what isn't a ResNet.
        stages: Number of stages that the file holds, 1 to 4; likewise.
        size: Of a Vision Transformer.
        source: Name and sha256 of the file, and what else is known of it.
    """

    state_dict: Dict[str, Tensor]
    layout: str
    place: str
    left_over: List[str]
    depth: Optional[int] = None
    stages: Optional[int] = None
    size: Optional[Size] = None
    source: Dict[str, Any] = field(default_factory=dict)

    @property
    def architecture(self) -> str:
        """``'ResNet-50'``, a Vision Transformer's size, or neither."""
        if self.size:
            return f'Vision Transformer of {self.size}'
        return f'ResNet-{self.depth}' if self.depth else 'not a ResNet'

    @property
    def note(self) -> str:
        """What a user of the weights must set; empty when nothing."""
        return LAYOUTS[self.layout].note if self.layout else ''

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
            'missing': 0,  # an incomplete network is refused
            'note': self.note,
            'converted_by': f'hvc_mm {__version__}',
        }

    def save(
        self, path: str, hash_name: bool = False, force: bool = False
    ) -> Tuple[str, str]:
        """Write the plain state dict with its record.

        The record is the state dict's attribute ``record``, which torch
        keeps, and, for people, the file ``PATH.json``.

        Args:
            path: The file; it may be one that an earlier call wrote.
            hash_name: Add the first 8 digits of its sha256 to its name.
            force: Write over any other file, too.

        Returns:
            The file's name and sha256.

        Raises:
            OSError: It can't be written, or is there already; names it.
        """
        state_dict = OrderedDict(self.state_dict)
        state_dict.record = self.record()
        # By way of memory: torch's own errors don't say that a disk is full.
        content = io.BytesIO()
        torch.save(state_dict, content)
        digest = hashlib.sha256(content.getbuffer()).hexdigest()
        if hash_name:
            stem, extension = osp.splitext(path)
            path = f'{stem}-{digest[:8]}{extension}'
        for name in (path, f'{path}.json'):
            claim_file(name, force)
        with listed_file(path) as partial:
            partial.write_bytes(content.getbuffer())
        with listed_file(f'{path}.json') as partial:
            write_json(partial, self.record())
        return path, digest


def convert(
    path: str, layout: str = 'auto', prefix: Optional[str] = None
) -> Conversion:
    """Take the ResNet or Vision Transformer out of a file, with usual names.

    Those of torchvision, or of DINO and timm.

    Args:
        path: A checkpoint.
        layout: A key of :data:`~hvc_mm.checkpoint.LAYOUTS`, or ``'auto'``.
        prefix: As for :func:`~hvc_mm.checkpoint.find_network`.

    Raises:
        CheckpointError: As :func:`~hvc_mm.checkpoint.find_network` does; the
            message names the file.
    """
    checkpoint = read_checkpoint(path)
    try:
        found = find_network(checkpoint, None, layout, prefix)
        known: Dict[str, Any] = {}
        if found.is_vit:
            known['size'] = size_of(found.tensors)
            expected = expected_of_vit(found.tensors)
            what = 'a Vision Transformer'
        else:
            depth, stages = guess_resnet(found.tensors)
            known.update(depth=depth, stages=stages)
            expected = resnet_shapes(depth, stages)
            what = f'a ResNet-{depth}'
        check_complete(found, expected, what)
    except CheckpointError as error:
        raise CheckpointError(f'{path}: {error}') from None
    state_dict, _ = compare(found.tensors, expected)
    others = [name for name in found.tensors if name not in state_dict]
    return Conversion(
        state_dict,
        found.layout,
        found.place,
        others + found.left_over,
        source=source_of(path),
        **known,
    )


def source_of(path: str) -> Dict[str, str]:
    """Name a file for the record, and its sha256."""
    return {'source': Path(path).name, 'sha256': sha256_of(path)}
