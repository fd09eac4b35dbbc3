import copy

import numpy as np
import pytest
import torch
from mmengine.dataset import default_collate

from hvc_mm.structures import PairedViewSample, VOSDataSample


def test_a_batch_keeps_paired_samples_as_a_list():
    items = []
    for i in range(3):
        box = np.full(4, i / 10, np.float32)
        sample = PairedViewSample(metainfo=dict(box1=box, box2=box + 0.5))
        views = [torch.full((3, 4, 4), i, dtype=torch.uint8)] * 2
        items.append(dict(inputs=views, data_samples=sample))
    batch = default_collate(items)
    assert [v.shape for v in batch['inputs']] == [(3, 3, 4, 4)] * 2
    assert batch['inputs'][0].dtype == torch.uint8
    np.testing.assert_allclose(batch['data_samples'][2].box2, 0.7)


@pytest.fixture
def sample():
    meta = dict(video='bear', frame_index=3, ori_shape=(4, 6))
    return VOSDataSample(metainfo=meta)


def test_meta_and_data_are_flat_and_copies_are_apart(sample):
    sample.pred_ids = torch.full((4, 6), 7, dtype=torch.uint8)
    sample.pred_joints = torch.zeros(2, 15)
    names = {'video', 'frame_index', 'ori_shape', 'pred_ids', 'pred_joints'}
    assert set(sample.to_dict()) == names
    twin = copy.deepcopy(sample).to('cpu')
    twin.pred_ids[0, 0] = 1
    assert sample.pred_ids[0, 0] == 7 and twin.video == 'bear'
    assert isinstance(twin, VOSDataSample)


@pytest.mark.parametrize(
    'name, value, error, found',
    [
        ('pred_ids', [[0]], TypeError, 'list'),
        ('pred_ids', torch.zeros(4, 6), TypeError, 'float32'),
        ('prompt_ids', torch.zeros(1, 4, 6).byte(), ValueError, r'1, 4, 6'),
        ('corrections', {2: torch.zeros(4, 6)}, TypeError, r'type bool'),
        ('soft_labels', torch.zeros(4, 6), ValueError, r'O \+ 1, H, W'),
        ('pred_joints', torch.zeros(2, 15).long(), TypeError, 'int64'),
        ('prompt_joints', torch.zeros(15, 2), ValueError, r'15, 2'),
    ],
)
def test_wrong_fields_are_refused(sample, name, value, error, found):
    with pytest.raises(error, match=f'{name} must be.*{found}'):
        setattr(sample, name, value)
