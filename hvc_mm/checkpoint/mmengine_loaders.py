"""Make mmengine read files and URLs of checkpoints by the one reader."""

from __future__ import annotations

import os.path as osp
import re
from collections import OrderedDict
from typing import Any, Dict

import torch
from mmengine.fileio import get_local_path
from mmengine.logging import print_log
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader

from .download import download
from .model_zoo import cached, local_weights
from .reading import FILE, CheckpointError, read_checkpoint, sha256_of


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
    """Load a file, or published weights by their name, for mmengine.

    Args:
        path: The file, or a name; ``~`` is the home folder.
        map_location: Where tensors go, as for ``torch.load``.

    Returns:
        State dicts (name -> tensor of any shape) by key, or one of them; the
        metadata of the one that mmengine takes tells the file.
    """
    path = local_weights(path)
    content = read_checkpoint(osp.expanduser(path), map_location)
    return _with_origin(content, path)


def load_from_http(
    url: str, map_location: Any = None, sha256: str = ''
) -> Dict[str, Any]:
    """Load a URL for mmengine, which is downloaded once.

    Returns what :func:`load_from_local` does.

    Args:
        url: The file.
        map_location: As for ``torch.load``.
        sha256: What its checksum begins with, where that is known.
    """
    path = cached(url)
    try:
        download(url, path, 'sha256' if sha256 else '', sha256)
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{url}: can't be loaded ({error}); download it to {path}, or "
            'give a file of weights instead'
        ) from None
    print_log(f'{url}: {path} (sha256 {sha256_of(path)})', 'current')
    return _with_origin(read_checkpoint(path, map_location), url)


def load_from_zoo(path: str, map_location: Any = None) -> Dict[str, Any]:
    """Load a model that torchvision or OpenMMLab published, by its name.

    Returns what :func:`load_from_local` does.
    """
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
    if scheme in ('modelzoo', 'torchvision'):
        # The names of its files end in the beginning of their checksums.
        sha256 = re.search(r'-([0-9a-f]{8,})\.', models[name])
        found = sha256[1] if sha256 else ''
        content = load_from_http(models[name], map_location, found)
    elif '://' in models[name]:
        content = load_from_http(models[name], map_location)
    else:
        home = mmengine_checkpoint._get_mmengine_home()
        content = load_from_local(osp.join(home, models[name]), map_location)
    if scheme == 'mmcls':
        content = mmengine_checkpoint._process_mmcls_checkpoint(content)
    return content


def load_from_ceph(path: str, map_location: Any = None) -> Dict[str, Any]:
    """Load a file of a Ceph storage; returns as :func:`load_from_local`."""
    with get_local_path(path, backend_args={'backend': 'petrel'}) as local:
        return _with_origin(read_checkpoint(local, map_location), path)


def load_from_pavi(path: str, map_location: Any = None) -> Dict[str, Any]:
    """Refuse: mmengine's own loader would run code in the file."""
    raise CheckpointError(f'{path}: download the file and give its path')


def _with_origin(content: Dict[str, Any], path: str) -> Dict[str, Any]:
    """Note in the metadata of a state dict which file it is from.

    mmengine gives a model the entry ``state_dict`` alone. With this note the
    model's hook sees all that the file holds. The config that old files have
    in ``meta`` is left out: to resume, mmengine would run it as code.
    """
    meta = content.get('meta')
    if isinstance(meta, dict) and 'config' in meta:
        meta = {key: value for key, value in meta.items() if key != 'config'}
        content = {**content, 'meta': meta}
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
