"""Packing: from the items of a pipeline to what a model takes."""

from __future__ import annotations

from typing import Sequence

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform

from hvc_mm.registry import TRANSFORMS
from hvc_mm.structures import PairedViewSample, VOSDataSample

_META_KEYS = (
    'video',
    'frame_index',
    'frame_name',
    'video_length',
    'starts_video',
    'img_path',
    'img_shape',
    'ori_shape',
    'gt_path',
    'is_scored',
    'object_categories',
    'gt_joints',
)
_DATA_KEYS = ('prompt_ids', 'prompt_joints')


@TRANSFORMS.register_module()
class PackVOSInputs(BaseTransform):
    """Pack one frame for a propagation model.

    Required key: ``img``. Returns ``inputs``, a ``(3, H, W)`` uint8 tensor
    (BGR), and ``data_samples``, a :class:`VOSDataSample` with the meta keys
    that are there and, where objects begin, their prompt; where a user gives
    masks again, these ``corrections``.

    Args:
        extra_meta_keys: Further keys of the data set's items that the sample
            keeps; those that an item lacks are left out.
    """

    def __init__(self, extra_meta_keys: Sequence[str] = ()) -> None:
        self.meta_keys = (*_META_KEYS, *extra_meta_keys)

    def transform(self, results: dict) -> dict:
        """Replace ``results`` by what a model takes."""
        sample = VOSDataSample(
            metainfo={k: results[k] for k in self.meta_keys if k in results}
        )
        for key in _DATA_KEYS:
            if key in results:
                setattr(sample, key, torch.as_tensor(results[key]))
        if 'corrections' in results:
            sample.corrections = results['corrections']
        return dict(inputs=to_chw_tensor(results['img']), data_samples=sample)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(meta_keys={self.meta_keys})'


@TRANSFORMS.register_module()
class PackPairedViews(BaseTransform):
    """Pack two views for a model, still 8 bit: the device normalises them.

    Required keys: ``views``, ``boxes``, ``img_path``; ``ori_shape`` where it
    is there. Returns ``inputs``, two ``(3, H, W)`` uint8 tensors in the
    order of the image's channels (BGR), and ``data_samples``, a
    :class:`PairedViewSample`. mmengine's ``default_collate`` makes of these
    two ``(N, 3, H, W)`` tensors and a list.
    """

    def transform(self, results: dict) -> dict:
        """Replace ``results`` by what a model takes."""
        box1, box2 = results['boxes']
        meta = dict(img_path=results['img_path'], box1=box1, box2=box2)
        if 'ori_shape' in results:
            meta['ori_shape'] = results['ori_shape']
        return dict(
            inputs=[to_chw_tensor(view) for view in results['views']],
            data_samples=PairedViewSample(metainfo=meta),
        )

    def __repr__(self) -> str:
        return f'{type(self).__name__}()'


def to_chw_tensor(image: np.ndarray) -> torch.Tensor:
    """Copy ``(H, W, C)`` uint8, C at most 4, into a ``(C, H, W)`` tensor."""
    height, width, channels = image.shape
    copy = np.empty((channels, height, width), dtype=image.dtype)
    # Five to twenty times as fast as transposing with numpy or torch.
    cv2.split(image, list(copy))
    return torch.from_numpy(copy)
