"""The images that a COCO json lists; its annotations are never read."""

from __future__ import annotations

import json
import os.path as osp
from typing import Any, Dict, List

from mmengine.dataset import BaseDataset

from hvc_mm.registry import DATASETS
from hvc_mm.utils.files import read_text

from .video_files import check_folder, check_name


@DATASETS.register_module()
class CocoImagesDataset(BaseDataset):
    """All images of a COCO json, annotated or not, for pre-training.

    Of the json only ``images[].file_name`` is read: it needs neither
    annotations nor categories, ids or sizes. An image that is listed twice
    is taken once. ``mmdet.CocoDataset`` has the same arguments and can take
    its place; it needs a complete json.

    Args:
        ann_file: The json, e.g. ``annotations/instances_train2017.json``.
        data_root: What ``ann_file`` and ``data_prefix`` start from.
        data_prefix: ``img``, the folder of the images.
        **kwargs: Those of mmengine's ``BaseDataset`` (``pipeline``,
            ``indices``, ``max_refetch``, ...).

    Raises:
        FileNotFoundError: A missing folder or json, or none of the images is
            there.
        ValueError: The json can't be read, lists no image, or an image
            outside of the folder.
    """

    METAINFO = dict(dataset_type='coco_images')

    def __init__(
        self,
        ann_file: str = '',
        data_root: str = '',
        data_prefix: Dict[str, str] = dict(img=''),  # noqa: B006
        **kwargs: Any,
    ) -> None:
        super().__init__(
            ann_file=ann_file,
            data_root=data_root,
            data_prefix=data_prefix,
            **kwargs,
        )

    def load_data_list(self) -> List[dict]:
        """List the images, as ``img_path`` each."""
        folder = self.data_prefix['img']
        check_folder(folder, 'the images of COCO')
        names = read_image_names(self.ann_file)
        paths = [osp.join(folder, name) for name in names]
        if not any(osp.isfile(path) for path in paths):
            raise FileNotFoundError(
                f'no image {paths[0]}, nor any other of the {len(paths)} that '
                f'{self.ann_file} lists; expected them in {folder}'
            )
        return [dict(img_path=path) for path in paths]


def read_image_names(path: str) -> List[str]:
    """Read the names of a COCO json's images, each once, in its order.

    Raises:
        FileNotFoundError: No such file.
        ValueError: It is no such json; says what was found.
    """
    if not osp.isfile(path):
        raise FileNotFoundError(
            f"no file {path}; expected COCO's json, which lists the images "
            '(hvc_coco_folder.py reads a folder without one)'
        )
    wanted = 'expected {"images": [{"file_name": ...}, ...]}'
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise ValueError(f'cannot read {path}: {error}; {wanted}') from error
    images = content.get('images') if isinstance(content, dict) else None
    if not isinstance(images, list) or not images:
        found = images if isinstance(content, dict) else content
        raise ValueError(
            f'{path} lists no images, but {found!r:.60}; {wanted}'
        )
    names = {}
    for index, image in enumerate(images):
        name = image.get('file_name') if isinstance(image, dict) else None
        if not isinstance(name, str):
            raise ValueError(
                f'{path}: images[{index}] has no file_name, but '
                f'{image!r:.60}; {wanted}'
            )
        names[check_name(name, f'{path}: images[{index}]')] = None
    return list(names)
