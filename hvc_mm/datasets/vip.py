"""VIP: parts of persons, propagated through a video."""

from __future__ import annotations

from typing import Any, Optional

from hvc_mm.registry import DATASETS

from .davis import VOSDataset
from .id_masks import VOID, objects_in, read_id_mask

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
        max_objects: The last part; None takes any id.
        binary_masks: False, because 255 never is a part: a mask of 0 and 255
            is empty.
        **kwargs: See :class:`VOSDataset`.

    Raises:
        ValueError: What :class:`VOSDataset` refuses, in the masks that are
            given; see :meth:`check_annotations` for the others.
    """

    METAINFO = dict(dataset_type='vip', classes=PARTS)
    FOLDERS = dict(img_path='Images', ann_path='Annotations/Category_ids')

    def __init__(
        self,
        ann_file: str = 'lists/val_videos.txt',
        max_objects: Optional[int] = len(PARTS) - 1,
        binary_masks: Optional[bool] = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            ann_file=ann_file,
            max_objects=max_objects,
            binary_masks=binary_masks,
            **kwargs,
        )

    def check_annotations(self) -> None:
        """Raise ValueError for a mask with an id from 20 to 254.

        Every mask is read, which takes half a minute for all of VIP: an id
        that is no part ends the run before its first frame, not hours later.
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
