"""Packed frames: the meta information and prompts that are there."""

import numpy as np
import torch

from hvc_mm.datasets.transforms import PackVOSInputs
from hvc_mm.structures import VOSDataSample


def _results(**extra):
    image = np.random.default_rng(0).integers(0, 255, (4, 6, 3), np.uint8)
    return dict(img=image, video='v', frame_index=2, gt_path=None, **extra)


def test_a_frame_with_a_prompt():
    ids = torch.ones(8, 12, dtype=torch.uint8)
    results = _results(prompt_ids=ids, ori_shape=(8, 12), is_scored=False)
    packed = PackVOSInputs()(results)
    np.testing.assert_array_equal(
        packed['inputs'], results['img'].transpose(2, 0, 1)
    )
    sample = packed['data_samples']
    assert isinstance(sample, VOSDataSample)
    assert set(sample.metainfo_keys()) == {
        'video', 'frame_index', 'gt_path', 'ori_shape', 'is_scored',
    }  # fmt: skip
    assert sample.gt_path is None and not sample.is_scored
    assert torch.equal(sample.prompt_ids, ids)


def test_other_frames_and_further_keys():
    packed = PackVOSInputs(extra_meta_keys=['category', 'absent'])(
        _results(category='bear', more=1)
    )
    sample = packed['data_samples']
    assert sample.category == 'bear' and 'prompt_ids' not in sample
    assert 'more' not in sample and 'absent' not in sample


def test_joints_become_tensors():
    joints = np.ones((2, 15))
    results = _results(prompt_joints=joints, gt_joints=joints)
    sample = PackVOSInputs()(results)['data_samples']
    assert torch.equal(sample.prompt_joints, torch.ones(2, 15).double())
    np.testing.assert_array_equal(sample.gt_joints, joints)
