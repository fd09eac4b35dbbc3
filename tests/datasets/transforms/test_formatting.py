"""Packed items: channels first, still 8 bit, with what is known of them."""

import numpy as np
import torch

from hvc_mm.datasets.transforms import PackPairedViews, PackVOSInputs
from hvc_mm.structures import VOSDataSample


def _results(**extra):
    image = np.random.default_rng(0).integers(0, 255, (4, 6, 3), np.uint8)
    return dict(img=image, video='v', frame_index=2, gt_path=None, **extra)


def test_a_frame_with_a_prompt():
    ids = torch.ones(8, 12, dtype=torch.uint8)
    results = _results(prompt_ids=ids, ori_shape=(8, 12), is_scored=False)
    results['img'].flags.writeable = False
    packed = PackVOSInputs()(results)
    chw = results['img'].transpose(2, 0, 1)
    np.testing.assert_array_equal(packed['inputs'], chw)
    assert packed['inputs'].dtype == torch.uint8
    assert packed['inputs'].is_contiguous()
    packed['inputs'].zero_()
    assert results['img'].any()  # its memory is its own
    sample = packed['data_samples']
    assert isinstance(sample, VOSDataSample)
    keys = {'video', 'frame_index', 'gt_path', 'ori_shape', 'is_scored'}
    assert set(sample.metainfo_keys()) == keys
    assert sample.gt_path is None and not sample.is_scored
    assert torch.equal(sample.prompt_ids, ids)


def test_joints_and_further_keys():
    joints = np.ones((2, 15))
    packed = PackVOSInputs(extra_meta_keys=['category', 'absent'])(
        _results(
            category='bear', more=1, prompt_joints=joints, gt_joints=joints
        )
    )
    sample = packed['data_samples']
    assert sample.category == 'bear' and 'prompt_ids' not in sample
    assert 'more' not in sample and 'absent' not in sample
    assert torch.equal(sample.prompt_joints, torch.ones(2, 15).double())
    np.testing.assert_array_equal(sample.gt_joints, joints)


def test_views_and_boxes_are_packed():
    rng = np.random.default_rng(0)
    views = [rng.integers(0, 255, (4, 6, 3), dtype=np.uint8) for _ in 'ab']
    boxes = [np.arange(4, dtype=np.float32), np.ones(4, np.float32)]
    packed = PackPairedViews()(
        dict(views=views, boxes=boxes, img_path='x.jpg', ori_shape=(9, 8))
    )
    for view, tensor in zip(views, packed['inputs']):
        np.testing.assert_array_equal(tensor, view.transpose(2, 0, 1))
    sample = packed['data_samples']
    assert sample.img_path == 'x.jpg' and sample.ori_shape == (9, 8)
    np.testing.assert_array_equal(sample.box1, boxes[0])
    np.testing.assert_array_equal(sample.box2, boxes[1])
