"""Packed views: planes first, still 8 bit, boxes along."""

import numpy as np
import torch

from hvc_mm.datasets.transforms import PackPairedViews


def test_views_and_boxes_are_packed():
    rng = np.random.default_rng(0)
    views = [rng.integers(0, 255, (4, 6, 3), dtype=np.uint8) for _ in 'ab']
    boxes = [np.arange(4, dtype=np.float32), np.ones(4, np.float32)]
    packed = PackPairedViews()(
        dict(views=views, boxes=boxes, img_path='x.jpg', ori_shape=(9, 8))
    )
    for view, tensor in zip(views, packed['inputs']):
        assert tensor.dtype == torch.uint8 and tensor.is_contiguous()
        np.testing.assert_array_equal(tensor, view.transpose(2, 0, 1))
    sample = packed['data_samples']
    assert sample.img_path == 'x.jpg' and sample.ori_shape == (9, 8)
    np.testing.assert_array_equal(sample.box1, boxes[0])
    np.testing.assert_array_equal(sample.box2, boxes[1])
