"""Published weights by name: downloaded once, checked, kept.

A name means a file in torch's hub cache, which is downloaded when it is
first asked for. A file of the same name in the current folder comes first.
"""

from __future__ import annotations

import os.path as osp
import re
import shutil
import zipfile
from pathlib import Path
from typing import Dict, List, NamedTuple, Union
from urllib.parse import urlparse

import torch
from mmengine.logging import print_log

from hvc_mm.utils.files import whole_file

from .download import download
from .reading import CheckpointError, sha256_of


class PublishedWeights(NamedTuple):
    """Weights that somebody published.

    Attributes:
        title: What they are, for people.
        url: A checkpoint, or a zip archive with several.
        member: Of an archive: what the checkpoint's name in it matches (a
            regular expression, in any case).
        md5: What the MD5 sum of the URL's file begins with, where its
            authors tell it.
    """

    title: str
    url: str
    member: str = ''
    md5: str = ''


_HVC = (
    'https://github.com/PGSmall/HVC/releases/download/v0.1/releases_models.zip'
)
_MOCO = 'https://dl.fbaipublicfiles.com/moco/moco_checkpoints'
MODEL_ZOO: Dict[str, PublishedWeights] = {
    'hvc-coco': PublishedWeights('HVC ResNet-18, COCO', _HVC, 'coco'),
    'hvc-voc': PublishedWeights(
        'HVC ResNet-18, PASCAL VOC', _HVC, 'voc|pascal'
    ),
    'hvc-msra10k': PublishedWeights('HVC ResNet-18, MSRA10K', _HVC, 'msra'),
    'hvc-ytvos': PublishedWeights(
        'HVC ResNet-18, YouTube-VOS', _HVC, '(?<!p)yt|youtube'
    ),
    'moco-v1-r50': PublishedWeights(
        'MoCo v1 ResNet-50, ImageNet, 200 epochs',
        f'{_MOCO}/moco_v1_200ep/moco_v1_200ep_pretrain.pth.tar',
        md5='b251726a',
    ),
}
_SUFFIXES = ('.pth', '.pt', '.tar', '.pkl', '.ckpt', '.bin')


def find_weights(name: Union[str, Path]) -> str:
    """Find what a user means: a file, a URL or published weights.

    Args:
        name: A path, a URL, or a key of :data:`MODEL_ZOO`.

    Returns:
        A path that is there, or the URL.

    Raises:
        FileNotFoundError: It is none of them.
        CheckpointError: As :func:`local_weights` does.
    """
    found = local_weights(str(name))
    if '://' not in found and not osp.isfile(found):
        raise FileNotFoundError(
            f'no checkpoint {name}: neither a file nor the name of published '
            f'weights ({", ".join(MODEL_ZOO)})'
        )
    return found


def local_weights(name: str) -> str:
    """Give the file of published weights, and any other name as it is.

    Its sha256 is logged.

    Raises:
        CheckpointError: The weights can't be downloaded, or aren't what they
            should be; the message says where to put a file by hand.
    """
    if name not in MODEL_ZOO or osp.isfile(name):
        return name
    published = MODEL_ZOO[name]
    source = cached(published.url)
    path = source
    if published.member:
        path = source.with_name(f'{name}.pth')
    if not path.is_file():
        try:
            download(published.url, source, 'md5', published.md5)
        except (OSError, ValueError) as error:
            raise CheckpointError(_by_hand(name, source, error)) from None
        if published.member:
            _extract(source, published.member, path)
    print_log(f'{name}: {path} (sha256 {sha256_of(path)})', 'current')
    return str(path)


def cached(url: str) -> Path:
    """Tell where a URL's file is kept, as ``torch.hub`` does."""
    name = osp.basename(urlparse(url).path)
    return Path(torch.hub.get_dir(), 'checkpoints', name)


def _by_hand(name: str, source: Path, error: Exception) -> str:
    """Say how to do without a download."""
    reason = ' '.join(str(error).split()) or type(error).__name__
    return (
        f"{name}: can't download {MODEL_ZOO[name].url} ({reason}); put that "
        f'file at {source}, or give a file of your own in the place of the '
        'name (CHECKPOINT of the tools, weights= in Python, checkpoint= of '
        'init_cfg)'
    )


def _extract(archive: Path, pattern: str, path: Path) -> None:
    """Copy the one checkpoint out of an archive whose name matches."""
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [
                name
                for name in opened.namelist()
                if name.endswith(_SUFFIXES) and '__MACOSX/' not in name
            ]
            member = _only(archive, members, pattern)
            with opened.open(member) as file, whole_file(path) as partial:
                with open(partial, 'wb') as copy:
                    shutil.copyfileobj(file, copy, 1 << 20)
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise CheckpointError(
            f'{archive}: is no whole zip archive ({error}); remove it, and '
            'it is downloaded again'
        ) from None


def _only(archive: Path, members: List[str], pattern: str) -> str:
    # Its own name first: a folder may be called after all of them.
    fitting = [
        name
        for name in members
        if re.search(pattern, osp.basename(name), re.IGNORECASE)
    ] or [name for name in members if re.search(pattern, name, re.IGNORECASE)]
    if len(fitting) != 1:
        found = ', '.join(fitting or members) or 'no checkpoint'
        raise CheckpointError(
            f'{archive}: expected one checkpoint whose name has {pattern}, '
            f'found {found}; extract the one you mean and give its path'
        )
    return fitting[0]
