"""Refuse weights that would leave a network at random, or without sense."""

from __future__ import annotations

import logging
from typing import Any, Sequence

from mmengine.logging import print_log
from torch import Tensor

from .layouts import Network, Tensors, compare
from .reading import CheckpointError


def check_complete(
    network: Network, wanted: Tensors, what: str = 'the backbone'
) -> None:
    """Refuse a network that would leave tensors at random, by their names.

    Args:
        network: What was found; its tensors by the names that are wanted.
        wanted: Name -> tensor of any shape; only the shapes are looked at.
        what: What they belong to, for the message.

    Raises:
        CheckpointError: When a tensor isn't there, or in another shape.
    """
    _, missing = compare(network.tensors, wanted)
    if not missing:
        return
    for index, name in enumerate(missing):
        if name in network.tensors:
            found, expected = network.tensors[name].shape, wanted[name].shape
            missing[index] += f' is {tuple(found)}, expected {tuple(expected)}'
    raise CheckpointError(
        f'the checkpoint lacks {len(missing)} of the {len(wanted)} '
        f'tensors of {what} under {network.place!r} (read as '
        f'{network.title}), or has them in another shape: {some_of(missing)}. '
        'Is it another architecture, or '
        'does the backbone build more stages than the file has?'
    )


def check_weights(tensors: Tensors) -> None:
    """Refuse values that are no weights, by their names.

    An infinite running variance, which float16 has above 65504, is no more
    than logged: its channel is well defined, the batch norm's bias.

    Args:
        tensors: Name -> tensor of any shape.

    Raises:
        CheckpointError: For numpy arrays, and where a value isn't finite.
    """
    arrays = [name for name, tensor in tensors.items() if is_array(tensor)]
    if arrays:
        raise CheckpointError(of_arrays(arrays))
    odd = [n for n, t in tensors.items() if not t.isfinite().all()]
    off = [
        n for n in odd if n.endswith('running_var') and _is_over(tensors[n])
    ]
    if off:
        print_log(
            f'{some_of(off)}: infinite, so that these channels are constant',
            'current',
            logging.WARNING,
        )
    odd = [name for name in odd if name not in off]
    if odd:
        raise CheckpointError(
            f'NaN or infinity in {len(odd)} of its tensors: {some_of(odd)}'
        )


def is_array(tensor: Any) -> bool:
    """Tell whether what a file has as a tensor is something else."""
    return not isinstance(tensor, Tensor)


def of_arrays(names: Sequence[str]) -> str:
    """Say which of a file's tensors are arrays."""
    return (
        f'numpy arrays in the place of {len(names)} tensors (use '
        f'torch.from_numpy): {some_of(names)}'
    )


def _is_over(variance: Tensor) -> bool:
    return bool((variance >= 0).all())  # False for NaN, too


def some_of(names: Sequence[str], most: int = 4) -> str:
    """Name the first few of many names, and count the others."""
    more = f' and {len(names) - most} more' if len(names) > most else ''
    return ', '.join(names[:most]) + more
