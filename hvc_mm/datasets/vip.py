"""VIP: parts of persons, carried through a video."""

from __future__ import annotations

from typing import Optional

from hvc_mm.registry import DATASETS

from .davis import VOSDataset
from .image_io import VOID, objects_in, read_id_mask
from .video_dataset import VideoRecord

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

    Every mask is read when the data set is built (half a minute for all of
    VIP): an id that is no part ends the run there, not hours later.

    Args:
        ann_file: The list of videos.
        data_root: The folder ``VIP_Fine``.
        data_prefix: ``img_path`` and ``ann_path``, folders of folders.
        **kwargs: See :class:`VOSDataset`.

    Raises:
        ValueError: A mask with an id from 20 to 254, or one that can't be
            read, and what :class:`VOSDataset` refuses.
    """

    METAINFO = dict(dataset_type='vip', classes=PARTS)

    def __init__(
        self,
        ann_file: str = 'lists/val_videos.txt',
        data_root: str = '',
        data_prefix: Optional[dict] = None,
        **kwargs,
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

    def load_video(self, name: str) -> VideoRecord:
        """Find one video's frames and masks; look at all of the masks."""
        record = super().load_video(name)
        if self.max_objects is not None:
            for path in record.gt_paths.values():
                check_parts(path, self.max_objects)
        return record


def check_parts(path: str, largest: int) -> None:
    """Make sure that a mask holds parts and nothing else.

    Args:
        path: An id mask.
        largest: The largest id of a part.

    Raises:
        ValueError: It holds another id (255 is ignored), or can't be read.
    """
    ids = [i for i in objects_in(read_id_mask(path)) if largest < i < VOID]
    if ids:
        raise ValueError(
            f'the mask {path} holds the part {ids[0]}; expected 0 to '
            f'{largest}, or {VOID} for what is ignored'
        )
