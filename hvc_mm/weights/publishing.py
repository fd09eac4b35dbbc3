"""Take the trained backbone out of a training checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Union

from torch import Tensor

from .checkpoint_file import CheckpointError, read_checkpoint, sha256_of
from .conversion import Conversion, convert_checkpoint
from .layouts import HoldsNoBackboneError

_PREFIX = 'backbone.'


def publish(path: Union[str, Path]) -> Conversion:
    """Get the backbone of a checkpoint that mmengine wrote.

    A ResNet comes with torchvision's names, whatever wraps it. Another
    architecture comes with its own names, less the ``backbone.`` before
    them.

    Args:
        path: A checkpoint, e.g. ``work_dirs/hvc_coco/epoch_20.pth``.

    Returns:
        The backbone; its source also says when in which run it was saved.

    Raises:
        CheckpointError: When the file can't be read, has no backbone, or
            lacks tensors of its ResNet.
    """
    checkpoint = read_checkpoint(path)
    state_dict = checkpoint.get('state_dict', checkpoint)
    try:
        conversion = convert_checkpoint(checkpoint, 'mm')
    except HoldsNoBackboneError:
        conversion = _any_backbone(state_dict)
    if not conversion.state_dict:
        raise CheckpointError(
            f'{path}: no tensor under {_PREFIX!r}, expected a checkpoint of '
            'pre-training; for weights made elsewhere use convert.py'
        )
    if conversion.missing:
        raise CheckpointError(
            f'{path}: {len(conversion.missing)} tensors of '
            f'{conversion.architecture} are not there, e.g. '
            f'{", ".join(conversion.missing[:4])}'
        )
    conversion.source = {
        'source': Path(path).name,
        'sha256': sha256_of(path),
        **_run(checkpoint.get('meta')),
    }
    return conversion


def _any_backbone(state_dict: Dict[str, Any]) -> Conversion:
    tensors = {k: v for k, v in state_dict.items() if isinstance(v, Tensor)}
    return Conversion(
        state_dict={
            name[len(_PREFIX) :]: tensor
            for name, tensor in tensors.items()
            if name.startswith(_PREFIX)
        },
        layout='mm',
        place=f'state_dict / {_PREFIX}',
        depth=None,
        stages=None,
        left_over=[n for n in tensors if not n.startswith(_PREFIX)],
        missing=[],
    )


def _run(meta: Any) -> Dict[str, Any]:
    """What mmengine noted about the run, as far as json can hold it."""
    if not isinstance(meta, dict):
        return {}
    wanted = ('experiment_name', 'epoch', 'iter', 'seed', 'time')
    return {
        key: meta[key]
        for key in wanted
        if isinstance(meta.get(key), (str, int))
    }
