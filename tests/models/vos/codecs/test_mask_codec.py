"""MaskCodec: channels as objects appear, ids back at the frame's size."""

import pytest
import torch

from hvc_mm.models.vos import MaskCodec
from hvc_mm.structures import VOSDataSample


def _sample(prompt=None, size=(8, 12)):
    sample = VOSDataSample(
        metainfo=dict(video='bear', frame_name='00007', ori_shape=size)
    )
    if prompt is not None:
        sample.prompt_ids = prompt
    return sample


def _mask(*boxes, size=(8, 12)):
    ids = torch.zeros(size, dtype=torch.uint8)
    for object_id, y1, y2, x1, x2 in boxes:
        ids[y1:y2, x1:x2] = object_id
    return ids


def test_planes_are_one_hot_shrunk_with_aligned_corners():
    codec = MaskCodec()
    ids = _mask((7, 0, 4, 0, 6), (3, 4, 8, 6, 12))
    planes = codec.encode(_sample(ids), (8, 12))
    assert planes.shape == (1, 3, 8, 12)
    for channel, object_id in enumerate((0, 3, 7)):
        torch.testing.assert_close(
            planes[0, channel], (ids == object_id).float()
        )
    codec.reset()
    small = codec.encode(_sample(ids), (3, 4))
    torch.testing.assert_close(small.sum(1), torch.ones(1, 3, 4))
    # Aligned corners: the corner cells are the corner pixels.
    assert small[0, 2, 0, 0] == 1 and small[0, 1, -1, -1] == 1


def test_newcomers_get_channels_at_the_end_and_ids_come_back():
    codec = MaskCodec(with_confidence=True)
    codec.encode(_sample(_mask((5, 0, 4, 0, 6))), (8, 12))
    planes = codec.encode(_sample(_mask((2, 4, 8, 6, 12))), (8, 12))
    assert planes.shape == (1, 3, 8, 12)
    assert not planes[0, :2].any() and planes[0, 2].sum() == 24
    soft = torch.zeros(1, 3, 8, 12)
    soft[0, 1, :, :4], soft[0, 2, :, 4:8], soft[0, 0, :, 8:] = 0.6, 0.7, 0.8
    sample = _sample()
    codec.decode(soft, sample)
    assert sample.pred_ids.dtype == torch.uint8
    assert sample.pred_ids[0, [0, 5, 11]].tolist() == [5, 2, 0]
    assert sample.pred_confidence[0, 5].item() == pytest.approx(0.7)


def test_a_tie_goes_to_the_smaller_id():
    codec = MaskCodec()
    codec.encode(_sample(_mask((9, 0, 4, 0, 6))), (2, 2))
    codec.encode(_sample(_mask((4, 4, 8, 6, 12))), (2, 2))
    sample = _sample()
    codec.decode(torch.tensor([0.0, 0.5, 0.5]).view(1, 3, 1, 1), sample)
    assert sample.pred_ids.unique().tolist() == [4]


def test_stretch_gives_faint_objects_their_say():
    """A faint object that is nowhere the largest, but has a clear peak."""
    soft = torch.zeros(1, 2, 8, 12)
    soft[0, 0], soft[0, 0, 0, 0] = 0.6, 0.9
    soft[0, 1, 2, 3] = 0.4
    for stretch, expected in ((False, [0]), (True, [0, 1])):
        codec = MaskCodec(stretch=stretch)
        codec.encode(_sample(_mask((1, 0, 4, 0, 6))), (8, 12))
        sample = _sample()
        codec.decode(soft, sample)
        assert sample.pred_ids.unique().tolist() == expected
    assert sample.pred_ids[2, 3] == 1 and sample.pred_ids[0, 0] == 0


def test_cell_mean_shrinks_to_shares_and_enlarges_about_centres():
    codec = MaskCodec(cell_mean=True)
    ids = _mask((1, 0, 4, 0, 3))
    planes = codec.encode(_sample(ids), (2, 2))
    torch.testing.assert_close(
        planes[0, 1], torch.tensor([[0.5, 0.0], [0.0, 0.0]])
    )
    sample = _sample()
    codec.decode(torch.eye(2).view(1, 2, 1, 2), sample)
    # Channels 0 and 1 in the left and right cell: half of the frame each.
    assert sample.pred_ids.eq(1).float().mean() == 0.5


def test_nothing_before_the_first_object():
    codec = MaskCodec()
    sample = _sample()
    assert codec.encode(sample, (2, 3)) is None
    codec.decode(None, sample)
    assert sample.pred_ids.shape == (8, 12) and not sample.pred_ids.any()


def test_refuses_empty_first_masks_and_known_objects():
    codec = MaskCodec()
    with pytest.raises(ValueError, match='bear, frame 00007.*no object'):
        codec.encode(_sample(_mask()), (2, 3))
    codec.encode(_sample(_mask((1, 0, 4, 0, 6))), (2, 3))
    assert codec.encode(_sample(_mask()), (2, 3)) is None
    again = _mask((1, 0, 4, 0, 6), (2, 4, 8, 6, 12))
    with pytest.raises(ValueError, match=r'ids \[1\]'):
        codec.encode(_sample(again), (2, 3))
