"""VIP: parts of persons, propagated through a video."""

from __future__ import annotations

from typing import Any, Optional

from hvc_mm.registry import DATASETS

from .davis import VOSDataset
from .image_io import VOID, objects_in, read_id_mask

PARTS = (
    'background',
    'hat',
    'hair',
    'gloves',
    'sunglasses',
    'upper clothes',
    'dress',
    'coat',
    'socks',
    'pants',
    'torso skin',
    'scarf',
    'skirt',
    'face',
    'left arm',
    'right arm',
    'left leg',
    'right leg',
    'left shoe',
    'right shoe',
)


@DATASETS.register_module()
class VIPDataset(VOSDataset):
    """Videos of VIP (Video Instance-level Parsing), one item a frame.

    Ids are parts, 0 background to 19; 255 is ignored. The first frame's parts
    are given, as CRW does it; ``prompt_at='new_objects'`` lets every part
    enter on the first frame that shows it, as HVC's own list would.

    Args:
        ann_file: The list of videos.
        data_root: The folder ``VIP_Fine``.
        data_prefix: ``img_path`` and ``ann_path``, folders of folders.
        **kwargs: See :class:`VOSDataset`.

    Raises:
        ValueError: What :class:`VOSDataset` refuses, in the masks that are
            given; see :meth:`check_annotations` for the others.
    """

    METAINFO = dict(dataset_type='vip', classes=PARTS)

    def __init__(
        self,
        ann_file: str = 'lists/val_videos.txt',
        data_root: str = '',
        data_prefix: Optional[dict] = None,
        **kwargs: Any,
    ) -> None:
        # 255 never is a part here, so masks of 0 and 255 are empty.
        kwargs = dict(
            dict(max_objects=len(PARTS) - 1, binary_masks=False), **kwargs
        )
        super().__init__(
            ann_file=ann_file,
            data_root=data_root,
            data_prefix=data_prefix
            or dict(img_path='Images', ann_path='Annotations/Category_ids'),
            **kwargs,
        )

    def check_annotations(self) -> None:
        """Make sure that all masks hold parts and nothing else.

        Every mask is read, which takes half a minute for all of VIP: an id
        that is no part ends the run before its first frame, not hours later.

        Raises:
            ValueError: A mask with an id from 20 to 254, or one that can't
                be read.
        """
        if self.max_objects is None:
            return
        items = (self.get_data_info(index) for index in range(len(self)))
        for path in filter(None, (item['gt_path'] for item in items)):
            for part in objects_in(read_id_mask(path)):
                if self.max_objects < part < VOID:
                    raise ValueError(
                        f'the mask {path} holds the part {part}; expected 0 '
                        f'to {self.max_objects}, or {VOID} for what is ignored'
                    )
