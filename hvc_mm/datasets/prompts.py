"""The masks that a benchmark gives to the model, checked.

H, W: height and width of a frame in pixels.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import List, Optional, Sequence, Tuple

import numpy as np

from .mask_io import read_id_mask

VOID = 255


def without_void(ids: np.ndarray, binary: Optional[bool]) -> np.ndarray:
    """Turn a mask as it is stored into plain ids.

    Args:
        ids: ``(H, W)`` uint8.
        binary: See :class:`Prompt`.

    Returns:
        np.ndarray: ``(H, W)`` uint8, void as 0, a binary mask's object as 1.
    """
    if binary is None:
        binary = set(objects_in(ids)) == {VOID}
    if binary:
        return (ids > 0).astype(np.uint8)
    return np.where(ids == VOID, 0, ids).astype(np.uint8)


def objects_in(ids: np.ndarray) -> List[int]:
    """The values above 0 that an ``(H, W)`` uint8 mask holds, ascending."""
    return (np.flatnonzero(np.bincount(ids.ravel())[1:]) + 1).tolist()


@dataclass(frozen=True)
class Prompt:
    """Where the objects that begin at a frame are drawn.

    Args:
        path: An id mask; see :func:`~hvc_mm.datasets.mask_io.read_id_mask`.
        objects: Ids that begin here; None for all that the mask holds.
        max_objects: The largest id that the run can hold; None for any.
        binary: Every value but 0 is object 1. None: that holds for a mask
            of nothing but 0 and 255, as DAVIS-2016 draws them; elsewhere 255
            is void.
    """

    path: str
    objects: Optional[Tuple[int, ...]] = None
    max_objects: Optional[int] = None
    binary: Optional[bool] = None

    def to_dict(self) -> dict:
        """As a plain dictionary, for a data set's list of items."""
        return asdict(self)

    def read(self, shape: Sequence[int]) -> np.ndarray:
        """Read the mask and make sure that the run can start from it.

        Args:
            shape: ``(H, W)`` that the frame has.

        Returns:
            np.ndarray: ``(H, W)`` uint8, the ids that begin here, else 0.

        Raises:
            FileNotFoundError: No such mask.
            ValueError: The mask stores no ids, has another size than the
                frame, holds no object or not those that should begin here,
                or an id beyond ``max_objects``.
        """
        ids = read_id_mask(self.path)
        if ids.shape != tuple(shape):
            raise ValueError(
                f'the mask {self.path} has {ids.shape[1]}x{ids.shape[0]} '
                f'pixels; expected {shape[1]}x{shape[0]} as its frame has'
            )
        ids = without_void(ids, self.binary)
        present = set(objects_in(ids))
        if not present:
            raise ValueError(
                f'the mask {self.path} is empty; expected at least one object'
            )
        if self.objects is not None:
            missing = sorted(set(self.objects) - present)
            if missing:
                raise ValueError(
                    f'the mask {self.path} lacks object {missing}, which '
                    f'should begin there; it holds {sorted(present)}'
                )
            ids[~np.isin(ids, self.objects)] = 0
            present &= set(self.objects)
        if self.max_objects is not None and max(present) > self.max_objects:
            raise ValueError(
                f'the mask {self.path} holds object {max(present)}; expected '
                f"ids up to {self.max_objects}, the run's max_objects"
            )
        return ids
