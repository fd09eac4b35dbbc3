"""The masks that a user gives for a video, checked and brought to one form.

H, W: height and width of a frame in pixels; an *id mask* is ``(H, W)`` uint8,
0 background, 1.. objects, 255 void.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Mapping, Optional, Sequence, Set, Tuple, Union

import numpy as np
import torch

from hvc_mm.datasets.image_io import (
    VOID,
    objects_in,
    read_id_mask,
    without_void,
)

Mask = Union[str, Path, np.ndarray, torch.Tensor, Mapping[int, Any]]
Masks = Union[Mask, Mapping[int, Mask]]


class PromptMasks:
    """Masks by frame, looked up when their frame comes.

    Args:
        masks: A mask for frame 0, or a mapping from frame index to mask. A
            mask is a palette or greyscale PNG, an ``(H, W)`` array or tensor
            of ids or of bools (object 1), or a mapping from object id to
            ``(H, W)`` bools. A mask with nothing but 0 and 255 is object 1,
            as DAVIS-2016 draws it. The mapping itself is kept: what is put
            into it later counts when that frame comes.

    Raises:
        ValueError: No mask is given.
        TypeError: A frame index that is no integer.
    """

    def __init__(self, masks: Masks) -> None:
        if masks is None or (isinstance(masks, Mapping) and not masks):
            raise ValueError(
                'no mask was given; expected one of the first frame, or '
                'masks by frame index'
            )
        self.masks = masks if isinstance(masks, Mapping) else {0: masks}
        for index in self.masks:
            _check_index(index)
        self.known: Set[int] = set()
        self.used: Set[int] = set()

    def check_length(self, length: Optional[int]) -> None:
        """Complain about masks of frames that will never come.

        Args:
            length: Frames of the video; None when it isn't known.

        Raises:
            ValueError: A frame index is not below the length.
        """
        late = [i for i in self.masks if length is not None and i >= length]
        if late:
            raise ValueError(
                f'masks are given for frames {sorted(late)}, but the video '
                f'has {length} frames, 0 to {length - 1}'
            )

    def prompt_at(
        self, index: int, shape: Tuple[int, int]
    ) -> Optional[torch.Tensor]:
        """The objects that begin at a frame.

        Objects that an earlier mask brought are left out, with a warning:
        their propagation goes on undisturbed.

        Args:
            index: Of the frame.
            shape: Its ``(H, W)``.

        Returns:
            ``(H, W)`` uint8, ids where new objects are and 0 elsewhere; None
            for a frame without a mask.

        Raises:
            FileNotFoundError: No such mask file.
            ValueError: The mask stores no ids, has another size than the
                frame, or no (new) object.
        """
        if index not in self.masks:
            return None
        self.used.add(index)
        mask = self.masks[index]
        where = f'the mask of frame {index}'
        if isinstance(mask, (str, Path)):
            where = f'the mask {mask}'
        ids = _to_ids(mask, where, shape)
        present = set(objects_in(ids))
        if not present:
            raise ValueError(f'{where} is empty; expected at least one object')
        again = sorted(present & self.known)
        if again:
            ids[np.isin(ids, again)] = 0
            if not present - self.known:
                raise ValueError(
                    f'{where} holds objects {again}, which earlier masks '
                    'have brought; expected an object that begins here '
                    '(another id)'
                )
            warnings.warn(
                f'{where}: objects {again} are known from earlier masks and '
                'go on as they are propagated',
                stacklevel=2,
            )
        self.known |= present
        return torch.from_numpy(ids)

    def unused(self) -> Sequence[int]:
        """Frames whose masks never came up."""
        return sorted(set(self.masks) - self.used)


def _check_index(index: Any) -> None:
    if isinstance(index, bool) or not isinstance(index, (int, np.integer)):
        raise TypeError(
            f'masks are given by frame index, an integer, not {index!r}'
        )
    if index < 0:
        raise ValueError(f'frames count from 0; a mask is given for {index}')


def _to_ids(mask: Mask, where: str, shape: Tuple[int, int]) -> np.ndarray:
    """An id mask of its own, void removed."""
    if isinstance(mask, Mapping):
        return _join(mask, where, shape)
    if isinstance(mask, (str, Path)):
        ids = read_id_mask(mask)
    else:
        ids = _from_array(mask, where)
    _check_size(ids, where, shape)
    return without_void(ids.astype(np.uint8), None)


def _from_array(mask: Any, where: str) -> np.ndarray:
    if isinstance(mask, torch.Tensor):
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
    return array


def _check_size(array: np.ndarray, where: str, shape: Tuple[int, int]) -> None:
    if array.shape != tuple(shape):
        raise ValueError(
            f'{where} has {array.shape[1]}x{array.shape[0]} pixels; expected '
            f'{shape[1]}x{shape[0]} as its frame has'
        )


def _join(
    objects: Mapping[int, Any], where: str, shape: Tuple[int, int]
) -> np.ndarray:
    ids = np.zeros(shape, np.uint8)
    for object_id, mask in objects.items():
        if isinstance(mask, (str, Path)):
            mask = read_id_mask(mask)
        part = _from_array(mask, f'{where}, object {object_id}')
        _check_size(part, f'{where}, object {object_id}', shape)
        if not 1 <= int(object_id) < VOID:
            raise ValueError(
                f'{where} has object id {object_id}; expected 1..{VOID - 1}'
            )
        inside = part != 0
        if not inside.any():
            raise ValueError(f'{where}: object {object_id} is empty')
        taken = np.unique(ids[inside & (ids > 0)])
        if taken.size:
            raise ValueError(
                f'{where}: object {object_id} overlaps object {taken[0]}; '
                'expected one object per pixel'
            )
        ids[inside] = int(object_id)
    return ids
