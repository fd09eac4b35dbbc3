"""A frame's image at its own size, and what is annotated of it."""

import cv2
import numpy as np
import torch

from hvc_mm.datasets import write_id_mask
from hvc_mm.structures import VOSDataSample
from hvc_mm.visualization import frame_ground_truth, frame_image

H, W = 6, 8


def sample_of(**meta):
    return VOSDataSample(metainfo=dict(ori_shape=(H, W), **meta))


def test_a_frame_of_another_size_is_read_again(tmp_path):
    path = str(tmp_path / 'frame.png')
    bgr = np.random.default_rng(0).integers(0, 256, (H, W, 3), np.uint8)
    cv2.imwrite(path, bgr)
    seen = torch.full((3, H, W), 7, dtype=torch.uint8)
    sample = sample_of(img_path=path)
    assert (frame_image(seen, sample) == 7).all()
    for other in (seen[:, :4], None):
        assert (frame_image(other, sample) == bgr[..., ::-1]).all()


def test_ground_truth_is_joints_or_ids_or_nothing(tmp_path):
    joints = np.array([[1.0, 2], [3, 4]])
    found = frame_ground_truth(sample_of(gt_joints=joints, gt_path=None))
    assert (found.joints == joints).all() and found.ids is None
    path = str(tmp_path / 'mask.png')
    ids = np.zeros((H, W), np.uint8)
    ids[2:4], ids[5] = 2, 255
    write_id_mask(path, ids)
    found = frame_ground_truth(sample_of(gt_path=path))
    # Void belongs to no object.
    assert found.joints is None
    assert (found.ids == np.where(ids == 255, 0, ids)).all()
    # As DAVIS-2016 draws masks: 255 is the object, no void.
    write_id_mask(path, np.where(ids == 2, 255, 0).astype(np.uint8))
    found = frame_ground_truth(sample_of(gt_path=path))
    assert (found.ids == (ids == 2)).all()
    assert frame_ground_truth(sample_of(gt_path=None)) == (None, None)
