"""The last step of the evaluation pipeline."""

from __future__ import annotations

from typing import Sequence

import torch
from mmcv.transforms import BaseTransform

from hvc_mm.registry import TRANSFORMS
from hvc_mm.structures import VOSDataSample

from .to_chw import to_chw_tensor

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
    that are there and, where objects begin, their prompt.

    Args:
        extra_meta_keys: What else of the data set's items to hand on; keys
            that an item lacks are left out.
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
        return dict(inputs=to_chw_tensor(results['img']), data_samples=sample)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(meta_keys={self.meta_keys})'
