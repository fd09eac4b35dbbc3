"""Video object segmentation data in the folders of DAVIS."""

from __future__ import annotations

import os
import os.path as osp
from typing import Any, Dict, List, Optional, Set, Tuple

from hvc_mm.registry import DATASETS

from .id_masks import objects_in, read_id_mask, without_void
from .image_io import natural_key
from .transforms import Prompt
from .video_dataset import VideoDataset, VideoRecord
from .video_files import find_masks, read_video_names, stem_of

_PROMPT_AT = ('first_frame', 'first_annotation', 'new_objects')

# The ids that begin at a frame, by the frame's stem; None for all of its mask.
Beginnings = Dict[str, Optional[Tuple[int, ...]]]


@DATASETS.register_module()
class VOSDataset(VideoDataset):
    """Videos in the layout of DAVIS, one item a frame.

    ``<img_path>/<video>/<frame>.jpg``, ``<ann_path>/<video>/<frame>.png`` and
    a list of names; see :class:`VideoDataset` for items and options.

    Args:
        ann_file: The list of videos; without one, every folder of images.
        prompt_at: Where masks are given to the model: 'first_frame', whose
            mask must be there (DAVIS); 'first_annotation', on the earliest
            frame that has a mask; 'new_objects', each object on the
            earliest frame whose mask holds it (all masks are read to find
            out).
        max_objects: The largest id that the run can hold; None for any.
        binary_masks: Every value of a mask but 0 is object 1, or every one
            above half of the largest where edges are smooth. None: that holds
            for masks of nothing but 0 and 255, as DAVIS-2016 draws them;
            elsewhere 255 is void.
        **kwargs: See :class:`VideoDataset` and mmengine's ``BaseDataset``.

    Raises:
        FileNotFoundError: A missing list, folder of frames or first mask;
            with its name.
        ValueError: A video without frames; a first mask that is empty, no id
            mask, of another size than its frame, or with an id that the run
            can't hold.
    """

    METAINFO = dict(dataset_type='vos')

    FOLDERS = dict(img_path='JPEGImages/480p', ann_path='Annotations/480p')

    def __init__(
        self,
        ann_file: str = 'ImageSets/2017/val.txt',
        prompt_at: str = 'first_frame',
        max_objects: Optional[int] = None,
        binary_masks: Optional[bool] = None,
        **kwargs: Any,
    ) -> None:
        if prompt_at not in _PROMPT_AT:
            raise ValueError(
                f'prompt_at must be one of {_PROMPT_AT}, not {prompt_at!r}'
            )
        self.prompt_at = prompt_at
        self.max_objects = max_objects
        self.binary_masks = binary_masks
        super().__init__(ann_file=ann_file, **kwargs)

    def list_videos(self) -> List[str]:
        """List the names of the list file, or of the folders of images."""
        if self.ann_file:
            return read_video_names(self.ann_file)
        folders = os.scandir(self.data_prefix['img_path'])
        return sorted((e.name for e in folders if e.is_dir()), key=natural_key)

    def load_video(self, name: str) -> VideoRecord:
        """Find one video's frames and masks, and read what is given."""
        frames = self.frames_in(osp.join(self.data_prefix['img_path'], name))
        folder = osp.join(self.data_prefix['ann_path'], name)
        found = find_masks(folder)
        stems = [stem_of(path) for path in frames]
        masks = {stem: found[stem] for stem in stems if stem in found}
        record = VideoRecord(name, frames, gt_paths=masks)
        for stem, objects in self._beginnings(folder, stems, masks).items():
            record.add_prompt(
                stem,
                Prompt(
                    masks[stem], objects, self.max_objects, self.binary_masks
                ),
            )
        return record

    def _beginnings(
        self, folder: str, stems: List[str], masks: Dict[str, str]
    ) -> Beginnings:
        """Find at which frames which objects are given to the model."""
        if self.prompt_at == 'first_frame' and stems[0] not in masks:
            raise FileNotFoundError(
                f'no first mask {osp.join(folder, stems[0] + ".png")}; '
                'expected the ids of the objects to follow'
            )
        if not masks:
            raise FileNotFoundError(
                f'no mask in {folder}; expected at least one for the frames '
                f'{stems[0]}..{stems[-1]}'
            )
        if self.prompt_at != 'new_objects':
            return {next(iter(masks)): None}
        return self._first_appearances(folder, masks)

    def _first_appearances(
        self, folder: str, masks: Dict[str, str]
    ) -> Beginnings:
        known: Set[int] = set()
        found = {}
        for stem, path in masks.items():
            ids = read_id_mask(path, binarize=bool(self.binary_masks))
            ids = without_void(ids, self.binary_masks)
            new = sorted(set(objects_in(ids)) - known)
            if new:
                found[stem] = tuple(new)
                known.update(new)
        if not found:
            raise ValueError(
                f'all masks in {folder} are empty; expected at least one '
                'object'
            )
        return found
