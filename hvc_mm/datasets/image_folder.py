"""Photographs in folders, for pre-training without any annotation."""

from __future__ import annotations

import glob
import os
import os.path as osp
from typing import List, Sequence, Union

from mmengine.dataset import BaseDataset

from hvc_mm.registry import DATASETS

from .image_io import IMAGE_SUFFIXES

_GLOB_SIGNS = ('*', '?', '[')


@DATASETS.register_module()
class ImageFolderDataset(BaseDataset):
    """All images of one or several folders or glob patterns.

    The order is that of the sources, and within a source that of the sorted
    paths; an image that several sources name is taken once.

    Args:
        sources: Folders, glob patterns (``**`` goes down), or single files;
            relative ones start at ``data_root``. By default ``data_root``
            itself.
        data_root: Where relative sources start.
        any_of: Several places where the same images may lie, instead of
            ``sources``: the first one that exists is read.
        recursive: Take the images of a folder's subfolders too.
        suffixes: What names of images end in; case makes no difference.
        **kwargs: Those of mmengine's ``BaseDataset`` (``pipeline``,
            ``indices``, ``max_refetch``, ...).

    Raises:
        FileNotFoundError: A folder or file that isn't there, a pattern that
            matches nothing.
        ValueError: A source without any image.
    """

    METAINFO = dict(dataset_type='image_folder')

    def __init__(
        self,
        sources: Union[str, Sequence[str]] = '',
        data_root: str = '',
        any_of: Sequence[str] = (),
        recursive: bool = False,
        suffixes: Sequence[str] = IMAGE_SUFFIXES,
        **kwargs,
    ) -> None:
        sources = [sources] if isinstance(sources, str) else list(sources)
        if not sources or not (data_root or all(sources)):
            raise ValueError(
                'ImageFolderDataset has no sources; expected data_root, or '
                'sources: folders, patterns or files'
            )
        self.sources = sources
        self.any_of = list(any_of)
        self.recursive = recursive
        self.suffixes = tuple(suffix.lower() for suffix in suffixes)
        super().__init__(data_root=data_root, **kwargs)

    def load_data_list(self) -> List[dict]:
        """List the images.

        Returns:
            list[dict]: ``img_path`` of each.
        """
        paths = {}  # keeps the order, drops what comes twice
        for source in self._chosen_sources():
            paths.update(dict.fromkeys(self._images_of(source)))
        return [dict(img_path=path) for path in paths]

    def _chosen_sources(self) -> List[str]:
        if not self.any_of:
            return [self._path_of(source) for source in self.sources]
        places = [self._path_of(place) for place in self.any_of]
        for place in places:
            if osp.exists(place) or glob.glob(place, recursive=True):
                return [place]
        raise FileNotFoundError(
            f'no images: found none of {", ".join(places)}; expected one of '
            'them. The data root is set by the environment variable '
            'HVC_DATA_ROOT or by --cfg-options data_root=...'
        )

    def _path_of(self, source: str) -> str:
        return osp.normpath(osp.join(self.data_root, osp.expanduser(source)))

    def _images_of(self, source: str) -> List[str]:
        # A folder may have a glob's signs in its name: look for it first.
        if osp.isdir(source):
            images = self._images_in_folder(source)
        elif osp.isfile(source):
            return [source]
        elif any(sign in source for sign in _GLOB_SIGNS):
            found = glob.glob(source, recursive=True)
            if not found:
                raise FileNotFoundError(f'nothing matches {source}')
            images = []
            for path in found:
                if osp.isdir(path):
                    images += self._images_in_folder(path)
                elif self._is_image(path):
                    images.append(path)
        else:
            raise FileNotFoundError(f'no such image folder: {source}')
        if not images:
            raise ValueError(
                f'no image in {source}; expected files that end in '
                f'{", ".join(self.suffixes)}{self._hint(source)}'
            )
        return sorted(images)

    def _images_in_folder(self, folder: str) -> List[str]:
        if not self.recursive:
            return [
                entry.path
                for entry in os.scandir(folder)
                if self._is_image(entry.name) and entry.is_file()
            ]
        return [
            osp.join(parent, name)
            for parent, _, names in os.walk(folder, followlinks=True)
            for name in names
            if self._is_image(name)
        ]

    def _is_image(self, name: str) -> bool:
        return name.lower().endswith(self.suffixes)

    def _hint(self, source: str) -> str:
        if self.recursive or not osp.isdir(source):
            return ''
        if any(entry.is_dir() for entry in os.scandir(source)):
            return '; it has subfolders: set recursive=True to read them'
        return ''
