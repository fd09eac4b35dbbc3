"""Reading what an item names: frames, given masks, training images.

H, W: height and width of a frame in pixels.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Optional, Sequence, Tuple

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.logging import print_log
from torch.utils.data import get_worker_info

from hvc_mm.registry import TRANSFORMS

from ..id_masks import check_size, objects_in, read_id_mask, without_void
from ..image_io import BrokenImageError, read_image, read_image_size

# One header a video is enough, however many of its frames are loaded.
_first_frame_size = lru_cache(maxsize=8)(read_image_size)

# Loader workers beyond this many share their counters; more than any machine
# of today runs for one data set.
_COUNTERS = 64


@TRANSFORMS.register_module()
class LoadFrame(BaseTransform):
    """Read a frame and make sure that a video has frames of one size.

    Required keys: ``img_path``; ``first_img_path``, the first frame of the
    video, where sizes are to be compared. Added keys: ``img`` (``(H, W, 3)``
    uint8, BGR), ``img_shape`` and ``ori_shape`` (both ``(H, W)``).
    """

    def transform(self, results: dict) -> dict:
        """Load ``results['img_path']``.

        Raises:
            BrokenImageError: The file is missing, damaged or no image.
            ValueError: The frame has another size than the first one.
        """
        image = read_image(results['img_path'])
        first = results.get('first_img_path')
        if first is not None and first != results['img_path']:
            height, width = _first_frame_size(str(first))
            if image.shape[:2] != (height, width):
                raise ValueError(
                    f'the frame {results["img_path"]} has '
                    f'{image.shape[1]}x{image.shape[0]} pixels; expected '
                    f'{width}x{height} as in the first frame of its video'
                )
        shape = image.shape[:2]
        results.update(img=image, img_shape=shape, ori_shape=shape)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}()'


@TRANSFORMS.register_module()
class LoadPretrainImage(BaseTransform):
    """Read an image; give up on a broken one, so that another is drawn.

    One bad file must not end a run of days. A file that is missing, damaged,
    no image, or less than ``min_side`` wide or high makes the transform
    return None: mmengine's ``BaseDataset`` (and so mmdet's ``CocoDataset``)
    then draws another image at random, and stops with an error after
    ``max_refetch`` failures in a row. Each file is logged once by every
    worker process that meets it, and again after workers were started anew;
    :attr:`num_skipped` counts over all workers.

    Required keys: ``img_path``. Added keys: ``img`` (``(H, W, 3)`` uint8,
    BGR), ``img_shape`` and ``ori_shape`` (both ``(H, W)``).

    Args:
        min_side: The least usable width and height in pixels. 2 by default,
            because a crop's place is measured in units of ``W - 1``.
    """

    def __init__(self, min_side: int = 2) -> None:
        self.min_side = min_side
        self._logged = set()
        # One slot a worker: shared with them, without locks or races.
        self._counts = torch.zeros(_COUNTERS, dtype=torch.int64)
        self._counts.share_memory_()

    @property
    def num_skipped(self) -> int:
        """Images skipped so far, by all worker processes together."""
        return int(self._counts.sum())

    def transform(self, results: dict) -> Optional[dict]:
        """Load ``results['img_path']``; None where it can't be used."""
        path = results['img_path']
        try:
            image = read_image(path)
        except BrokenImageError as error:
            return self._skip(path, str(error))
        height, width = shape = image.shape[:2]
        if min(shape) < self.min_side:
            return self._skip(
                path,
                f'the image {path} has {width}x{height} pixels; expected at '
                f'least {self.min_side} each way',
            )
        results.update(img=image, img_shape=shape, ori_shape=shape)
        return results

    def _skip(self, path: str, reason: str) -> None:
        worker = get_worker_info()
        self._counts[worker.id % _COUNTERS if worker else 0] += 1
        if path not in self._logged:
            self._logged.add(path)
            print_log(
                f'skipped in pre-training: {reason}',
                logger='current',
                level=logging.WARNING,
            )

    def __repr__(self) -> str:
        return f'{type(self).__name__}(min_side={self.min_side})'


@dataclass(frozen=True)
class Prompt:
    """A mask that is given to the model: the objects that begin at a frame.

    Args:
        path: An id mask; see :func:`~hvc_mm.datasets.read_id_mask`.
        objects: Ids that begin here; None for all that the mask holds.
        max_objects: The largest id that the run can hold; None for any.
        binary: Every value but 0 is object 1; see
            :func:`~hvc_mm.datasets.without_void`.
    """

    path: str
    objects: Optional[Tuple[int, ...]] = None
    max_objects: Optional[int] = None
    binary: Optional[bool] = None

    def to_dict(self) -> dict:
        """Turn it into a plain dictionary, for a data set's items."""
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
        ids = read_id_mask(self.path, binarize=bool(self.binary))
        check_size(f'the mask {self.path}', ids.shape, shape, 'its frame')
        ids = without_void(ids, self.binary)
        present = objects_in(ids)
        if not present:
            raise ValueError(
                f'the mask {self.path} is empty; expected at least one object'
            )
        if self.objects is not None:
            missing = sorted(set(self.objects) - set(present))
            if missing:
                raise ValueError(
                    f'the mask {self.path} lacks object {missing}, which '
                    f'should begin there; it holds {present}'
                )
            ids[~np.isin(ids, self.objects)] = 0
            present = objects_in(ids)
        if self.max_objects is not None and present[-1] > self.max_objects:
            raise ValueError(
                f'the mask {self.path} holds object {present[-1]}; expected '
                f"ids up to {self.max_objects}, the run's max_objects"
            )
        return ids


@TRANSFORMS.register_module()
class LoadPrompt(BaseTransform):
    """Read the mask of a frame where objects begin; skip other frames.

    Required keys: ``ori_shape``; ``prompt`` (the fields of :class:`Prompt`)
    where objects begin. Added key there: ``prompt_ids``, ``(H, W)`` uint8
    tensor.
    """

    def transform(self, results: dict) -> dict:
        """Read ``results['prompt']``; see :meth:`Prompt.read` for errors."""
        prompt = results.get('prompt')
        if prompt is not None:
            ids = Prompt(**prompt).read(results['ori_shape'])
            results['prompt_ids'] = torch.from_numpy(ids)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}()'
