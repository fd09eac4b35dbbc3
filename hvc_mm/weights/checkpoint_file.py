"""Read a checkpoint file without letting it run anything."""

from __future__ import annotations

import argparse
import hashlib
import pickle
import re
import warnings
from pathlib import Path
from typing import Any, Dict, Union

import torch
from mmengine.utils import digit_version

from hvc_mm.engine.safe_globals import allow_checkpoint_classes

from . import restricted_pickle

_HAS_ALLOW_LIST = digit_version(torch.__version__) >= digit_version('2.6')
# Both torch's and our own message name the class as "GLOBAL x.y", "class
# x.y" or "for x.y".
_WANTED = re.compile(r'(?:GLOBAL|class|asks for) ([A-Za-z_][\w.]*)')
# What torch and pickle raise on files that were cut or made to confuse them.
_DAMAGED = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


class CheckpointError(ValueError):
    """A checkpoint can't be used; the message says which and why."""


def sha256_of(path: Union[str, Path]) -> str:
    """Hash a file's content.

    Args:
        path: The file.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        for block in iter(lambda: file.read(1 << 20), b''):
            digest.update(block)
    return digest.hexdigest()


def read_checkpoint(path: Union[str, Path]) -> Dict[str, Any]:
    """Load a checkpoint onto the CPU, tensors and known metadata only.

    ``weights_only=True`` is always on. What training scripts put beside the
    weights and is known to be harmless (``argparse.Namespace``; mmengine's
    ``HistoryBuffer`` and the numpy arrays in it) is allowed by name: on
    torch's allow-list from 2.6 on; before that, by
    :mod:`~hvc_mm.weights.restricted_pickle`, which only reads past it.

    Args:
        path: A file that ``torch.save`` wrote.

    Returns:
        What it holds. Before torch 2.6, metadata that ``weights_only`` alone
        would refuse comes back as inert objects.

    Raises:
        CheckpointError: When there is no such file, when it is not a
            checkpoint or a damaged one, when it holds other classes than
            those named above, or is no dict.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f'{path}: there is no such file')
    try:
        with warnings.catch_warnings():
            # torch 2.0 warns of its own way to read tensors.
            warnings.filterwarnings('ignore', 'TypedStorage is deprecated')
            content = _load(path)
    except pickle.UnpicklingError as error:
        wanted = _WANTED.search(str(error))
        if wanted is None:
            raise _unreadable(path, error) from None
        raise CheckpointError(
            f'{path}: refused, because unpickling it would use '
            f'{wanted.group(1)}. A checkpoint may hold tensors, plain '
            'containers and numbers, argparse.Namespace and '
            "mmengine's HistoryBuffer; anything else could run code. If you "
            'trust the file, save its tensors alone where it was made, with '
            'torch.save(model.state_dict(), ...), and use that file'
        ) from None
    except _DAMAGED as error:
        raise _unreadable(path, error) from None
    if not isinstance(content, dict):
        raise CheckpointError(
            f'{path}: holds a {type(content).__name__}, expected a dict of '
            'tensors or a training checkpoint'
        )
    return content


def _load(path: Path) -> Any:
    if _HAS_ALLOW_LIST:
        allow_checkpoint_classes()
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location='cpu', weights_only=True)
    try:
        return torch.load(path, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError:
        # Our unpickler is the check here: it knows even fewer classes.
        return torch.load(
            path, map_location='cpu', pickle_module=restricted_pickle
        )


def _unreadable(path: Path, error: Exception) -> CheckpointError:
    reason = str(error).strip().split('\n')[0] or type(error).__name__
    return CheckpointError(
        f"{path}: can't be read as a checkpoint of torch ({reason}); is it "
        'complete, and is it the file itself rather than a web page or an '
        'archive of it?'
    )
