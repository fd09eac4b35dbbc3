"""Read checkpoints safely: tensors and known metadata, never code.

:func:`read_checkpoint` is the one reader; with :func:`guard_mmengine` it is
mmengine's as well, for each file and URL.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import os.path as osp
import pickle
import re
import tarfile
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, Dict, Union
from urllib.parse import urlparse

import numpy as np
import torch
from mmengine.dist import barrier, is_main_process
from mmengine.fileio import get_local_path
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader
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

    Args:
        path: A file that ``torch.save`` wrote.
        map_location: Where tensors go, as for ``torch.load``.

    Returns:
        What it holds. Before torch 2.6 the options of a script
        (``argparse.Namespace``) come back as inert objects.

    Raises:
        CheckpointError: When there is no such file, when it is not a
            checkpoint or a damaged one, when it holds other classes than
            those named above, or is no dict.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f'{path}: there is no such file')
    _check_format(path)
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


def _check_format(path: Path) -> None:
    """Refuse files that only look like checkpoints, and damaged ones."""
    with open(path, 'rb') as file:
        head = file.read(200)
    found = ''
    if head.startswith(b'version https://git-lfs'):
        found = (
            'is a pointer of Git LFS, not the file itself; fetch that with '
            '`git lfs pull`'
        )
    elif head[8:9] == b'{' and int.from_bytes(head[:8], 'little') < 1 << 30:
        found = (
            'is a safetensors file, expected one of torch; write one with '
            'torch.save(safetensors.torch.load_file(PATH), ...)'
        )
    elif head.startswith(b'PK\x03\x04'):
        found = _fault_of_zip(path)
    elif tarfile.is_tarfile(path):
        found = 'is a tar archive, which torch wrote until version 0.1'
    if found:
        raise CheckpointError(f'{path}: {found}')


def _fault_of_zip(path: Path) -> str:
    """Verify each checksum: torch reads a file with a flipped bit as if whole.

    It costs about 0.1 s for 100 MB.
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
            # The functions by which a pickle rebuilds arrays and scalars.
            np.zeros(1).__reduce__()[0],
            np.float64(0).__reduce__()[0],
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


def guard_mmengine() -> None:
    """Let mmengine load every checkpoint by :func:`read_checkpoint`.

    Its ``load_from``, ``resume``, ``Pretrained`` and ``load_checkpoint`` look
    a loader up by what a path begins with. Each of them is replaced.
    """
    for prefixes, loader in (
        ('', load_from_local),
        (('http://', 'https://'), load_from_http),
        (('modelzoo://', 'torchvision://'), load_from_zoo),
        (('open-mmlab://', 'openmmlab://', 'mmcls://'), load_from_zoo),
        ((r'(\S+\:)?s3://', r'(\S+\:)?petrel://'), load_from_ceph),
        ('pavi://', load_from_pavi),
    ):
        CheckpointLoader.register_scheme(prefixes, loader, force=True)


def load_from_local(path: str, map_location: Any = None) -> Dict[str, Any]:
    """Load a file for mmengine."""
    content = read_checkpoint(osp.expanduser(path), map_location)
    return _with_origin(content, path)


def load_from_http(url: str, map_location: Any = None) -> Dict[str, Any]:
    """Load a URL for mmengine, which is downloaded once.

    The first process does so; the others wait for it.
    """
    name = osp.basename(urlparse(url).path)
    path = osp.join(torch.hub.get_dir(), 'checkpoints', name)
    if not is_main_process():
        barrier()
    try:
        if not osp.isfile(path):
            os.makedirs(osp.dirname(path), exist_ok=True)
            torch.hub.download_url_to_file(url, path)
    except OSError as error:
        raise CheckpointError(f"{url}: can't be loaded ({error})") from None
    finally:
        if is_main_process():
            barrier()
    return _with_origin(read_checkpoint(path, map_location), url)


def load_from_zoo(path: str, map_location: Any = None) -> Dict[str, Any]:
    """Load a model that torchvision or OpenMMLab published, by its name."""
    scheme, _, name = path.partition('://')
    if scheme in ('modelzoo', 'torchvision'):
        models = mmengine_checkpoint.get_torchvision_models()
    elif scheme == 'mmcls':
        models = mmengine_checkpoint.get_mmcls_models()
    else:
        models = mmengine_checkpoint.get_external_models()
        renamed = mmengine_checkpoint.get_deprecated_model_names()
        name = renamed.get(name, name)
    if name not in models:
        raise CheckpointError(f'{path}: {scheme} has no model of this name')
    if '://' in models[name]:
        content = load_from_http(models[name], map_location)
    else:
        home = mmengine_checkpoint._get_mmengine_home()
        content = load_from_local(osp.join(home, models[name]), map_location)
    if scheme == 'mmcls':
        content = mmengine_checkpoint._process_mmcls_checkpoint(content)
    return content


def load_from_ceph(path: str, map_location: Any = None) -> Dict[str, Any]:
    """Load a file of a Ceph storage for mmengine."""
    with get_local_path(path, backend_args={'backend': 'petrel'}) as local:
        return _with_origin(read_checkpoint(local, map_location), path)


def load_from_pavi(path: str, map_location: Any = None) -> Dict[str, Any]:
    """Refuse: mmengine's own loader would run code in the file."""
    raise CheckpointError(f'{path}: download the file and give its path')


def _with_origin(content: Dict[str, Any], path: str) -> Dict[str, Any]:
    """Note in the metadata of a state dict which file it is from.

    mmengine gives a model the entry ``state_dict`` alone. With this note the
    model's hook sees all that the file holds.
    """
    names = content.get('state_dict', content)
    if not isinstance(names, dict):
        raise CheckpointError(
            f'{path}: its state_dict is a {type(names).__name__}, expected a '
            'dict of tensors'
        )
    state_dict = OrderedDict(names)
    metadata = OrderedDict(getattr(names, '_metadata', {}))
    networks = {
        key: value
        for key, value in content.items()
        if isinstance(value, torch.Tensor)
        or (isinstance(value, dict) and key != 'optimizer')
    }
    metadata[''] = {**metadata.get('', {}), FILE: (path, networks)}
    state_dict._metadata = metadata
    if 'state_dict' in content:
        return {**content, 'state_dict': state_dict}
    return state_dict
