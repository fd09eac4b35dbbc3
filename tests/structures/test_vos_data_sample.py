"""A frame's sample keeps what it is given and refuses what it can't hold."""

import copy

import pytest
import torch

from hvc_mm.structures import VOSDataSample


def _sample():
    return VOSDataSample(
        metainfo=dict(video='bear', frame_index=3, ori_shape=(4, 6))
    )


def test_meta_and_data_are_flat_in_to_dict():
    sample = _sample()
    sample.prompt_ids = torch.ones(4, 6, dtype=torch.uint8)
    sample.pred_joints = torch.zeros(2, 15)
    flat = sample.to_dict()
    assert set(flat) == {
        'video', 'frame_index', 'ori_shape', 'prompt_ids', 'pred_joints',
    }  # fmt: skip
    assert flat['frame_index'] == 3
    assert torch.equal(flat['prompt_ids'], torch.ones(4, 6))


def test_moves_and_copies_keep_types():
    sample = _sample()
    sample.pred_ids = torch.full((4, 6), 7, dtype=torch.uint8)
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
        ('pred_joints', torch.zeros(2, 15).long(), TypeError, 'int64'),
        ('prompt_joints', torch.zeros(15, 2), ValueError, r'15, 2'),
    ],
)
def test_wrong_fields_are_refused(name, value, error, found):
    with pytest.raises(error, match=f'{name} must be.*{found}'):
        setattr(_sample(), name, value)
