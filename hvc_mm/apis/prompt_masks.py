"""The masks that a user gives for a video, checked and brought to one form.

H, W: height and width of a frame in pixels; an *id mask* is ``(H, W)`` uint8,
0 background, 1.. objects, 255 void.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import (
    Any,
    Dict,
    Iterable,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Set,
    Tuple,
    Union,
)

import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor

from hvc_mm.datasets import (
    VOID,
    binarized,
    check_edges,
    check_size,
    objects_in,
    read_id_mask,
    without_void,
)

from .video_io import FrameSource

Mask = Union[str, Path, np.ndarray, Tensor, Mapping[int, Any], Sequence[Any]]
Masks = Union[Mask, Mapping[int, Mask]]


class FramePrompt(NamedTuple):
    """What a user's mask says about a frame.

    Attributes:
        ids: Objects that begin here, ``(H, W)`` uint8, 0 elsewhere; None
            where none does.
        corrections: Masks ``(H, W)`` bool of objects that began before, by
            id. One without a pixel says that the object is not to be seen.
    """

    ids: Optional[Tensor]
    corrections: Dict[int, Tensor]


class PromptMasks:
    """Look up masks when their frame comes.

    Objects that a mask shows for the first time begin at its frame. Objects
    that it shows again are corrected there, see :class:`FramePrompt`; what a
    mask does not show is propagated as before.

    Args:
        masks: A mask for frame 0, or a mapping from frame index to mask. A
            mask is a palette or greyscale PNG, an ``(H, W)`` array or tensor
            of ids or of bools (object 1), or a mask for each object: a
            mapping from object id to mask, or an ``(O, H, W)`` array or
            tensor or a list, whose objects are 1 to O. An object's mask is
            ``(H, W)`` bools, a file, or a box of four numbers, left, top,
            right and bottom in pixels; it may be empty where the object
            began before. A mask with nothing but 0 and 255 is object 1, as
            DAVIS-2016 draws it. The mapping itself is kept: what is put into
            it later counts when that frame comes.
        binarize: Each mask shows one object, and its edges may be smooth:
            every value above half of the largest is the object.

    Attributes:
        known: Ids of all objects so far.

    Raises:
        FileNotFoundError: No such mask file.
        ValueError: No mask is given, or one for a negative index.
        TypeError: A frame index that is no integer.
    """

    def __init__(self, masks: Masks, binarize: bool = False) -> None:
        if masks is None or (isinstance(masks, Mapping) and not masks):
            raise ValueError(
                'no mask was given; expected one of the first frame, or '
                'masks by frame index'
            )
        self.masks = masks if isinstance(masks, Mapping) else {0: masks}
        for index, mask in self.masks.items():
            if isinstance(index, bool) or not isinstance(
                index, (int, np.integer)
            ):
                raise TypeError(
                    'masks are given by frame index, an integer, not '
                    f'{index!r}'
                )
            if index < 0:
                raise ValueError(
                    f'frames count from 0; a mask is given for {index}'
                )
            if isinstance(mask, (str, Path)) and not Path(mask).is_file():
                raise FileNotFoundError(f'no mask file {mask}')
        self.binarize = binarize
        self.known: Set[int] = set()
        self._used: Set[int] = set()

    @property
    def files(self) -> List[Union[str, Path]]:
        """The mask files among them."""
        masks = self.masks.values()
        return [mask for mask in masks if isinstance(mask, (str, Path))]

    def check_frames(self, source: FrameSource) -> None:
        """Raise ValueError for masks of frames that will never come."""
        late = [i for i in self.masks if source.has_frame(i) is False]
        if late:
            raise ValueError(_late(late, source.name, source.length))

    def check_used(self, video: str, frames: int) -> None:
        """Complain about masks that never came up, at a video's end.

        Args:
            video: Its name.
            frames: How many it had.

        Raises:
            ValueError: No mask was used at all.
        """
        late = set(self.masks) - self._used
        if late and not self.known:
            raise ValueError(_late(late, video, frames))
        if late:
            print_log(_late(late, video, frames), 'current', logging.WARNING)

    def prompt_at(
        self, index: int, shape: Tuple[int, int]
    ) -> Optional[FramePrompt]:
        """Look up what begins or is corrected at a frame of ``(H, W)``
        pixels; frames come in order.

        Returns:
            None for a frame without a mask.

        Raises:
            FileNotFoundError: No such mask file.
            ValueError: The mask stores no ids, has another size than the
                frame, or no object.
        """
        if index not in self.masks:
            return None
        self._used.add(index)
        mask = self.masks[index]
        where = f'the mask of frame {index}'
        if isinstance(mask, (str, Path)):
            where = f'the mask {mask}'
        is_stack = tuple(getattr(mask, 'shape', ())[1:]) == tuple(shape)
        if isinstance(mask, (list, tuple)) or is_stack:
            mask = dict(enumerate(mask, 1))
        if isinstance(mask, Mapping):
            given = {int(object_id) for object_id in mask}
            ids = self._merge_objects(mask, where, shape)
        else:
            ids = _read(mask, where, shape, self.binarize)
            ids = without_void(ids, None)
            given = set(objects_in(ids))
        if not given:
            raise ValueError(f'{where} is empty; expected at least one object')
        again = sorted(given & self.known)
        corrections = {i: torch.from_numpy(ids == i) for i in again}
        begins_one = bool(given - self.known)
        self.known |= given
        ids[np.isin(ids, again)] = 0
        new_ids = torch.from_numpy(ids) if begins_one else None
        return FramePrompt(new_ids, corrections)

    def _merge_objects(
        self, objects: Mapping[int, Any], where: str, shape: Tuple[int, int]
    ) -> np.ndarray:
        """Make one id mask ``(H, W)`` of a mask per object."""
        ids = np.zeros(shape, np.uint8)
        for object_id, mask in objects.items():
            name = f'{where}, object {object_id}'
            if isinstance(mask, (list, tuple)):
                mask = _fill_box(mask, name, shape)
            inside = _read(mask, name, shape, self.binarize) != 0
            if not 1 <= int(object_id) < VOID:
                raise ValueError(
                    f'{where} has object id {object_id}; expected '
                    f'1..{VOID - 1}'
                )
            if not inside.any() and int(object_id) not in self.known:
                raise ValueError(f'{where}: object {object_id} is empty')
            taken = ids[inside].max(initial=0)
            if taken:
                raise ValueError(
                    f'{where}: object {object_id} overlaps object {taken}; '
                    'expected one object per pixel'
                )
            ids[inside] = int(object_id)
        return ids


def _late(indices: Iterable[int], video: str, frames: int) -> str:
    return (
        f'masks are given for frames {sorted(indices)}, but {video} has '
        f'{frames} frames, 0 to {frames - 1}'
    )


def _read(
    mask: Mask, where: str, shape: Tuple[int, int], binarize: bool
) -> np.ndarray:
    """Bring one mask to a checked ``(H, W)`` uint8 array."""
    if isinstance(mask, (str, Path)):
        mask = read_id_mask(mask, binarize)
    elif isinstance(mask, Tensor):
        mask = mask.cpu().numpy()
    array = np.asarray(mask)
    if array.ndim != 2 or array.dtype.kind not in 'bui':
        raise ValueError(
            f'{where} is {array.dtype} {array.shape}; expected (H, W) '
            'integer ids or bools (colours say nothing about ids)'
        )
    if array.size and not 0 <= int(array.min()) <= int(array.max()) <= VOID:
        raise ValueError(
            f'{where} has ids {array.min()}..{array.max()}; expected 0..255'
        )
    check_size(where, array.shape, shape, 'its frame')
    array = array.astype(np.uint8)
    if binarize:
        return binarized(array)
    check_edges(array, where)
    return array


def _fill_box(
    box: Sequence[float], where: str, shape: Tuple[int, int]
) -> np.ndarray:
    """Make a mask ``(H, W)`` bool of left, top, right and bottom."""
    height, width = shape
    inside = np.zeros(shape, bool)
    try:
        left, top, right, bottom = (int(round(float(edge))) for edge in box)
    except (TypeError, ValueError):
        raise ValueError(
            f'{where} is {box!r}; expected a box of four numbers: left, top, '
            'right, bottom'
        ) from None
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise ValueError(
            f'{where} is the box {list(box)}; expected left < right <= '
            f'{width} and top < bottom <= {height} pixels'
        )
    inside[top:bottom, left:right] = True
    return inside
