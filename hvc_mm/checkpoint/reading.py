"""Read checkpoints safely: tensors and known metadata, never code."""

from __future__ import annotations

import argparse
import hashlib
import os.path as osp
import pickle
import re
import tarfile
import warnings
import zipfile
from pathlib import Path
from typing import Any, Dict, Union

import numpy as np
import torch
from mmengine.utils import digit_version

from . import old_torch
from .old_torch import METHODS

_HAS_ALLOW_LIST = digit_version(torch.__version__) >= digit_version('2.6')
# Both torch's and our own message name the class as "GLOBAL x.y", "class
# x.y" or "asks for x.y".
_WANTED = re.compile(r'(?:GLOBAL|class|asks for) ([A-Za-z_][\w.]*)')
_ALLOWED = (
    'A checkpoint may hold tensors, plain containers and numbers, '
    "argparse.Namespace and mmengine's HistoryBuffer; anything else could run "
    'code. If you trust the file, save its tensors alone where it was made, '
    'with torch.save(model.state_dict(), ...), and use that file'
)
# What a file of torch before 1.6 begins with, after a few bytes: a number.
_MAGIC = (0x1950A86A20F9469CFC6C).to_bytes(10, 'little')
# Entry of a state dict's metadata: the file that it is from.
FILE = 'hvc_mm_file'


class CheckpointError(ValueError):
    """A checkpoint can't be used; the message says which and why."""


def sha256_of(path: Union[str, Path]) -> str:
    """Hash a file's content; 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        for block in iter(lambda: file.read(1 << 20), b''):
            digest.update(block)
    return digest.hexdigest()


def read_checkpoint(
    path: Union[str, Path], map_location: Any = 'cpu'
) -> Dict[str, Any]:
    """Load a checkpoint: tensors and known metadata only.

    What training scripts save next to the weights and is known to be
    harmless (``argparse.Namespace``, ``collections.Counter``, mmengine's
    ``HistoryBuffer`` with its numpy arrays, its schedulers) is allowed by
    name: on torch's allow-list from 2.6 on; before that by an unpickler that
    calls nothing. The checksums of a file in today's zip format are verified.
    A file of safetensors holds tensors alone.

    Args:
        path: A file that ``torch.save`` or safetensors wrote.
        map_location: Where tensors go, as for ``torch.load``.

    Returns:
        What it holds, e.g. ``{'state_dict': {name: tensor of any shape}}``;
        of safetensors, name -> tensor. Before torch 2.6 the options of a
        script (``argparse.Namespace``) come back as inert objects.

    Raises:
        CheckpointError: When there is no such file, when it is not a
            checkpoint or a damaged one, when it holds other classes than
            those named above, or is no dict.
    """
    path = Path(path)
    if path.is_dir():
        inside = [p.name for p in sorted(path.iterdir()) if p.is_file()]
        raise CheckpointError(
            f'{path}: is a folder, expected a file, such as one of those in '
            f'it: {", ".join(inside[:6]) or "none"}'
        )
    if not path.is_file():
        raise CheckpointError(f'{path}: there is no such file')
    with open(path, 'rb') as file:
        head = file.read(200)
    if head[8:9] == b'{' and int.from_bytes(head[:8], 'little') < 1 << 30:
        return _read_safetensors(path, map_location)
    _check_format(path, head)
    try:
        with warnings.catch_warnings():
            # torch 2.0 warns of its own way to read tensors.
            warnings.filterwarnings('ignore', 'TypedStorage is deprecated')
            if _HAS_ALLOW_LIST:
                content = torch.load(
                    path, map_location=map_location, weights_only=True
                )
            else:
                content = old_torch.load(path, map_location)
    except pickle.UnpicklingError as error:
        wanted = _WANTED.search(str(error))
        if wanted is None:
            raise _unreadable(path, error) from None
        raise CheckpointError(
            f'{path}: refused, because unpickling it would use '
            f'{wanted.group(1)}. {_ALLOWED}'
        ) from None
    except Exception as error:  # a damaged file makes torch raise any kind
        raise _unreadable(path, error) from None
    if not isinstance(content, dict):
        raise CheckpointError(
            f'{path}: holds a {type(content).__name__}, expected a dict of '
            'tensors or a training checkpoint'
        )
    return content


def _read_safetensors(path: Path, map_location: Any) -> Dict[str, Any]:
    try:
        from safetensors.torch import load_file
    except ImportError:
        raise CheckpointError(
            f'{path}: is a safetensors file: install safetensors (pip install '
            'safetensors), or write a file of torch where it is installed, '
            'with torch.save(safetensors.torch.load_file(PATH), ...)'
        ) from None
    try:
        tensors = load_file(path)
    except Exception as error:  # safetensors has no public class of its own
        reason = str(error).split('\n')[0]
        raise CheckpointError(
            f"{path}: can't be read as a safetensors file ({reason}); is it "
            'complete?'
        ) from None
    if isinstance(map_location, (str, torch.device)):
        tensors = {name: t.to(map_location) for name, t in tensors.items()}
    return tensors


def _check_format(path: Path, head: bytes) -> None:
    """Refuse files that only look like checkpoints, and damaged ones."""
    found = ''
    if head.startswith(b'version https://git-lfs'):
        found = (
            'is a pointer of Git LFS, not the file itself; fetch that with '
            '`git lfs pull`'
        )
    elif head.startswith(b'{') and b'"weight_map"' in path.read_bytes():
        found = (
            'is the index of several files of safetensors; write one file of '
            'torch with torch.save(AutoModel.from_pretrained(FOLDER).'
            'state_dict(), ...)'
        )
    elif head.startswith(b'PK\x03\x04'):
        found = _fault_of_zip(path)
    elif head.startswith(b'\x80') and _MAGIC not in head:
        found = 'is a plain pickle, expected a file of torch.save'
    elif tarfile.is_tarfile(path):
        found = 'is a tar archive, which torch wrote until version 0.1'
    if found:
        raise CheckpointError(f'{path}: {found}')


def _fault_of_zip(path: Path) -> str:
    """Verify each checksum: torch reads a file with a flipped bit as if whole.

    It takes 0.05 s for 100 MB.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            damaged = archive.testzip()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as e:
        return f"can't be read as a checkpoint of torch ({e}); is it complete?"
    if damaged:
        return f'is damaged: the checksum of {damaged} in it is wrong'
    if any(osp.basename(name) == 'constants.pkl' for name in names):
        return 'is a TorchScript archive, expected a dict of tensors'
    return ''


def _unreadable(path: Path, error: Exception) -> CheckpointError:
    reason = str(error).strip().split('\n')[0] or type(error).__name__
    if reason.startswith('Weights only load failed'):
        # Torch goes on to advise loading the file unsafely.
        reason = 'its pickle is damaged'
    return CheckpointError(
        f"{path}: can't be read as a checkpoint of torch ({reason}); is it "
        'complete, and is it the file itself rather than a web page or an '
        'archive of it?'
    )


def allow_checkpoint_classes() -> None:
    """Put the harmless classes of checkpoints on torch's allow-list.

    torch >= 2.6 loads with ``weights_only=True`` by default, also when
    another project loads a checkpoint that holds logged scalars. Does nothing
    before torch 2.6.
    """
    if not _HAS_ALLOW_LIST:
        return
    numpy_types = {type(np.dtype(t)) for t in ('f8', 'f4', 'i8', 'i4', '?')}
    torch.serialization.add_safe_globals(
        [
            argparse.Namespace,
            *METHODS,
            # Methods are pickled as a call of getattr; the real one would
            # open every attribute of every allowed class.
            (_method, 'builtins.getattr'),
            # The functions by which a pickle rebuilds arrays and scalars, by
            # their names in numpy 1 and 2.
            *(
                (rebuild, f'numpy.{core}.multiarray.{rebuild.__name__}')
                for value in (np.zeros(1), np.float64(0))
                for rebuild in value.__reduce__()[:1]
                for core in ('core', '_core')
            ),
            np.ndarray,
            np.dtype,
            *numpy_types,
        ]
    )


def _method(owner: type, name: str) -> Any:
    """Look up one of the expected methods, nothing else."""
    if name not in METHODS.get(owner, ()):
        raise pickle.UnpicklingError(
            f'the pickle asks for {name} of {owner!r}; expected one of '
            f'{METHODS}'
        )
    return getattr(owner, name)
