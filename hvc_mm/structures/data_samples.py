"""What is known about a training image, or about a frame of a video.

H, W: the frame's own height and width in pixels; J: joints.
"""

from __future__ import annotations

from typing import Any, Optional

import torch
from mmengine.structures import BaseDataElement

_ID_FIELDS = ('prompt_ids', 'pred_ids')
_JOINT_FIELDS = ('prompt_joints', 'pred_joints')


class PairedViewSample(BaseDataElement):
    """Meta information of a pre-training sample; it holds no tensors.

    The views themselves travel as batched ``inputs``. Meta information:

    - ``img_path`` (str): the source image.
    - ``ori_shape`` (int, int): its height and width in pixels.
    - ``box1``, ``box2`` (np.ndarray): ``(4,)`` float32, the normalised crop
      ``(x1, y1, x2, y2)`` of each view, in units of the image's last column
      and row: 0 is the first pixel's centre, 1 the last one's.

    Example:
        >>> import numpy as np
        >>> box = np.array([0, 0, 1, 1], np.float32)
        >>> sample = PairedViewSample(metainfo=dict(box1=box, box2=box))
        >>> sample.box1.shape
        (4,)
    """


class VOSDataSample(BaseDataElement):
    """A frame of a video object segmentation (or pose tracking) data set.

    Meta information:

    - ``video`` (str), ``frame_index`` (int, from 0), ``frame_name`` (str,
      the file's stem), ``video_length`` (int, frames),
    - ``starts_video`` (bool): the first frame of its video,
    - ``img_path`` (str), ``ori_shape`` (int, int): height and width,
    - ``gt_path`` (str or None): this frame's annotation file, for scoring;
      ``gt_joints`` ((2, J) array in pixels, from 0) where joints are scored,
    - ``is_scored`` (bool): False where a frame is only passed through,
    - ``object_categories`` (dict): category by id, where there are any,
    - whatever else a benchmark needs.

    Data, each only where it is known:

    - ``prompt_ids``: ``(H, W)`` uint8, on a frame where objects begin: their
      ids, 0 elsewhere,
    - ``corrections``: ``{id: (H, W) bool}``, masks of objects that began
      before, which a user gives again; in no benchmark's protocol,
    - ``pred_ids``: ``(H, W)`` uint8, the predicted ids,
    - ``soft_labels``: ``(O + 1, H, W)`` float in [0, 1], on request: of the
      background and of each object in the order of their ids, what the
      predicted ids are the largest of,
    - ``prompt_joints``: ``(2, J)`` float, on the frame where tracking
      begins: x and y in pixels, from 0,
    - ``pred_joints``: ``(2, J)`` float, the predicted x and y in pixels of
      the frame, -1 for a lost joint.

    Raises:
        TypeError: A data field of another type.
        ValueError: A data field of another shape.

    Example:
        >>> sample = VOSDataSample(metainfo=dict(video='bear', frame_index=0))
        >>> sample.prompt_ids = torch.zeros(480, 854, dtype=torch.uint8)
        >>> sample.video, 'pred_ids' in sample
        ('bear', False)
    """

    def set_field(
        self,
        value: Any,
        name: str,
        dtype: Optional[type] = None,
        field_type: str = 'data',
    ) -> None:
        """Check a field and keep it; every assignment comes through here."""
        if name in _ID_FIELDS:
            _check(name, value, value_type='uint8', shape='(H, W)')
        elif name in _JOINT_FIELDS:
            _check(name, value, value_type='float', shape='(2, J)')
        elif name == 'soft_labels':
            _check(name, value, value_type='float', shape='(O + 1, H, W)')
        elif name == 'corrections':
            for mask in value.values():
                _check(name, mask, value_type='bool', shape='(H, W)')
        super().set_field(value, name, dtype, field_type)


def _check(name: str, value: Any, value_type: str, shape: str) -> None:
    wanted = f'{name} must be a {shape} tensor of type {value_type}'
    if not isinstance(value, torch.Tensor):
        raise TypeError(f'{wanted}, not {type(value).__name__}')
    is_right_type = (
        value.is_floating_point()
        if value_type == 'float'
        else value.dtype == getattr(torch, value_type)
    )
    if not is_right_type:
        raise TypeError(f'{wanted}, not {value.dtype}')
    is_right_shape = value.ndim == len(shape.split(',')) and (
        shape != '(2, J)' or value.shape[0] == 2
    )
    if not is_right_shape:
        raise ValueError(f'{wanted}, not {tuple(value.shape)}')
