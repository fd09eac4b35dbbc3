import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from hvc_mm.models.vos import MaskCodec, PartCodec
from hvc_mm.structures import VOSDataSample


def _sample(prompt=None, size=(8, 12)):
    size = size if prompt is None else tuple(prompt.shape)
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


LEFT, RIGHT = (0, 4, 0, 6), (4, 8, 6, 12)


def test_masks_are_one_hot_shrunk_with_aligned_corners():
    codec = MaskCodec()
    ids = _mask((7, *LEFT), (3, *RIGHT))
    labels = codec.encode(_sample(ids), (8, 12))
    assert labels.shape == (1, 3, 8, 12)
    for channel, object_id in enumerate((0, 3, 7)):
        assert torch.equal(labels[0, channel], (ids == object_id).float())
    codec.reset()
    small = codec.encode(_sample(ids), (3, 4))
    torch.testing.assert_close(small.sum(1), torch.ones(1, 3, 4))
    # Aligned corners: the corner cells are the corner pixels.
    assert small[0, 2, 0, 0] == 1 and small[0, 1, -1, -1] == 1


def test_new_objects_get_channels_at_the_end_and_ids_come_back():
    codec = MaskCodec(with_confidence=True)
    codec.encode(_sample(_mask((5, *LEFT))), (8, 12))
    labels = codec.encode(_sample(_mask((2, *RIGHT))), (8, 12))
    assert labels.shape == (1, 3, 8, 12)
    assert not labels[0, :2].any() and labels[0, 2].sum() == 24
    soft = torch.zeros(1, 3, 8, 12)
    soft[0, 1, :, :4], soft[0, 2, :, 4:8], soft[0, 0, :, 8:] = 0.6, 0.7, 0.8
    sample = _sample()
    enlarged = codec.decode(soft, sample)
    assert sample.pred_ids.dtype == torch.uint8
    assert sample.pred_ids[0, [0, 5, 11]].tolist() == [5, 2, 0]
    assert sample.pred_confidence[0, 5].item() == pytest.approx(0.7)
    # In the order of ids: 0, 2, 5.
    torch.testing.assert_close(enlarged, soft[0, [0, 2, 1]])


@pytest.mark.parametrize(
    'codec',
    [
        MaskCodec(with_soft_labels=True),
        MaskCodec(stretch=True, enlarge='nearest', with_soft_labels=True),
        MaskCodec(decide_at_input=True, with_soft_labels=True),
        PartCodec((16, 18), with_soft_labels=True),
    ],
)
def test_soft_labels_are_what_the_ids_are_the_largest_of(codec):
    empty = _sample()
    codec.decode(None, empty)
    assert torch.equal(empty.soft_labels, torch.ones(1, 8, 12))
    ids = _mask((9, *LEFT))
    codec.encode(_sample(ids), (4, 6))
    codec.encode(_sample(_mask((4, *RIGHT))), (4, 6))
    soft = torch.rand(1, 3, 4, 6, dtype=torch.float64).softmax(dim=1)
    sample = _sample()
    sample.set_metainfo(dict(img_shape=(16, 24)))
    codec.decode(soft, sample)
    found = sample.soft_labels
    assert found.shape == (3, 8, 12) and found.dtype == torch.float32
    # Background, then the objects by id: 4 came last.
    order = torch.tensor([0, 4, 9], dtype=torch.uint8)
    assert torch.equal(order[found.argmax(0)], sample.pred_ids)
    if not codec.stretch:
        torch.testing.assert_close(found.sum(0), torch.ones(8, 12))


@pytest.mark.parametrize('codec', [MaskCodec(), PartCodec((16, 18))])
def test_corrections_are_encoded_as_masks_are(codec):
    ids = _mask((5, *LEFT), (2, *RIGHT))
    labels = codec.encode(_sample(ids), (3, 5))
    sample = _sample()
    sample.corrections = {5: ids == 5, 2: torch.zeros(8, 12).bool()}
    found = codec.encode_corrections(sample, (3, 5))
    # Channels are in the order of ids here.
    assert torch.equal(found[2], labels[0, 2]) and not found[1].any()
    sample.corrections = {7: ids == 5}
    with pytest.raises(ValueError, match=r'bear, frame 00007: ids \[7\] are'):
        codec.encode_corrections(sample, (3, 5))
    codec.reset()


def test_a_tie_goes_to_the_smaller_id():
    codec = MaskCodec()
    codec.encode(_sample(_mask((9, *LEFT))), (2, 2))
    codec.encode(_sample(_mask((4, *RIGHT))), (2, 2))
    sample = _sample()
    codec.decode(torch.tensor([0.0, 0.5, 0.5]).view(1, 3, 1, 1), sample)
    assert sample.pred_ids.unique().tolist() == [4]


@pytest.mark.parametrize('faint', [0.4, 1e-9])
def test_stretch_gives_faint_objects_their_say(faint):
    """A faint object that is nowhere the largest, but has a clear peak."""
    soft = torch.zeros(1, 2, 8, 12)
    soft[0, 0], soft[0, 0, 0, 0] = 0.6, 0.9
    soft[0, 1, 2, 3] = faint
    for stretch, expected in ((False, [0]), (True, [0, 1])):
        codec = MaskCodec(stretch=stretch)
        codec.encode(_sample(_mask((1, *LEFT))), (8, 12))
        sample = _sample()
        labels = codec.decode(soft, sample)
        assert sample.pred_ids.unique().tolist() == expected
    low, high = labels.flatten(1).aminmax(dim=1)
    assert low.tolist() == [0, 0] and high.tolist() == pytest.approx([1, 1])
    assert sample.pred_ids[2, 3] == 1 and sample.pred_ids[0, 0] == 0


def test_cell_mean_shrinks_to_shares_and_enlarges_about_centres():
    codec = MaskCodec(cell_mean=True)
    labels = codec.encode(_sample(_mask((1, 0, 4, 0, 3))), (2, 2))
    torch.testing.assert_close(
        labels[0, 1], torch.tensor([[0.5, 0.0], [0.0, 0.0]])
    )
    sample = _sample()
    codec.decode(torch.eye(2).view(1, 2, 1, 2), sample)
    # Channels 0 and 1 in the left and right cell: half of the frame each.
    assert sample.pred_ids.eq(1).float().mean() == 0.5


@pytest.mark.parametrize('old, new', [(9, 4), (104, 26), (65, 99), (7, 480)])
def test_pillows_nearest_neighbour(old, new):
    """Also for channels, which Pillow itself does not resize."""
    ids = torch.from_numpy(
        np.random.default_rng(0).integers(1, 4, (old, 8), np.uint8)
    )
    expected = Image.fromarray(ids.numpy()).resize((11, new), Image.NEAREST)
    codec = MaskCodec(shrink='pil-nearest', decide_at_input=True)
    labels = codec.encode(_sample(ids), (new, 11))
    np.testing.assert_array_equal(labels[0].argmax(0), np.array(expected))
    sample = _sample(size=(new, 11))
    sample.set_metainfo(dict(img_shape=(old, 8)))
    labels = torch.nn.functional.one_hot(ids.long()).permute(2, 0, 1)
    codec.decode(labels[None].float(), sample)
    np.testing.assert_array_equal(sample.pred_ids, np.array(expected))


def test_parts_at_the_size_of_the_networks_input():
    ids = _mask((3, 0, 4, 0, 5))
    one, other = PartCodec((16, 18)), PartCodec(None)
    samples = [_sample(ids), _sample(ids)]
    samples[1].set_metainfo(dict(img_shape=(16, 18)))
    labels = [c.encode(s, (4, 5)) for c, s in zip((one, other), samples)]
    assert torch.equal(*labels)
    one.decode(labels[0], samples[0]), other.decode(labels[1], samples[1])
    assert torch.equal(samples[0].pred_ids, samples[1].pred_ids)
    assert samples[0].pred_ids.shape == (8, 12)


@pytest.mark.parametrize('codec', [MaskCodec(), PartCodec((16, 16))])
def test_an_object_that_is_lost_on_the_grid_keeps_its_channel(codec):
    ids = torch.zeros(48, 48, dtype=torch.uint8)
    ids[10:40, 10:40] = 5
    ids[1, 1] = 3
    codec.with_soft_labels = True
    codec.reset()
    sample = VOSDataSample(prompt_ids=ids)
    sample.set_metainfo(dict(ori_shape=(48, 48), video='v', frame_name='0'))
    with pytest.warns(UserWarning, match=r'objects \[3\] are too small'):
        labels = codec.encode(sample, (4, 4))
    assert labels.shape == (1, 3, 4, 4)
    assert not labels[0, 1].any() and labels[0, 2].any()
    codec.decode(labels, sample)
    assert sample.soft_labels.shape == (3, 48, 48)
    assert sample.pred_ids.unique().tolist() == [0, 5]


@pytest.mark.parametrize(
    'option, known', [('shrink', 'pil-nearest'), ('enlarge', 'nearest')]
)
def test_unknown_ways_to_resize_are_refused(option, known):
    with pytest.raises(ValueError, match=f"{option} .*{known}.*'cubic'"):
        MaskCodec(**{option: 'cubic'})


def test_masks_that_are_refused_and_nothing_before_the_first():
    codec, sample = MaskCodec(), _sample()
    assert codec.encode(sample, (2, 3)) is None
    assert codec.decode(None, sample) is None
    assert sample.pred_ids.shape == (8, 12) and not sample.pred_ids.any()
    with pytest.raises(ValueError, match='bear, frame 00007.*no object'):
        codec.encode(_sample(_mask()), (2, 3))
    codec.encode(_sample(_mask((1, *LEFT))), (2, 3))
    assert codec.encode(_sample(_mask()), (2, 3)) is None
    again = _mask((1, *LEFT), (2, *RIGHT))
    with pytest.raises(ValueError, match=r'ids \[1\]'):
        codec.encode(_sample(again), (2, 3))


# Parts, against OpenCV step by step.

SIZE, GRID = (56, 56), (7, 7)
PARTS = np.zeros((30, 45), np.uint8)
PARTS[3:17, 5:22] = 4
PARTS[10:28, 25:40] = 13


def test_parts_are_resized_as_opencv_does():
    codec, sample = PartCodec(SIZE), _sample(torch.tensor(PARTS))
    labels = codec.encode(sample, GRID)
    square = cv2.resize(PARTS, SIZE, interpolation=cv2.INTER_NEAREST)
    assert labels.shape == (1, 3, *GRID)
    for channel, part in enumerate((0, 4, 13)):
        one = (square == part).astype(np.float32)
        expected = cv2.resize(one, GRID, interpolation=cv2.INTER_LINEAR)
        np.testing.assert_allclose(labels[0, channel], expected, atol=1e-6)

    rng = np.random.default_rng(0)
    soft = rng.uniform(size=(3, *GRID)).astype(np.float32)
    enlarged = codec.decode(torch.from_numpy(soft)[None], sample)
    large = [
        cv2.resize(one, SIZE, interpolation=cv2.INTER_LINEAR) for one in soft
    ]
    np.testing.assert_allclose(enlarged, large, atol=1e-6)
    parts = np.array([0, 4, 13], np.uint8)[np.argmax(large, axis=0)]
    expected = cv2.resize(parts, (45, 30), interpolation=cv2.INTER_NEAREST)
    assert sample.pred_ids.shape == (30, 45)
    assert (sample.pred_ids.numpy() == expected).mean() > 0.999
    assert torch.equal(sample.prompt_ids, torch.tensor(PARTS))


def test_parts_have_the_protocols_size_by_default():
    assert PartCodec().size == (560, 560)


def test_new_parts_confidence_and_frames_without_labels():
    codec = PartCodec(SIZE, with_confidence=True)
    plain = _sample(size=(30, 45))
    assert codec.encode(plain, GRID) is None
    codec.decode(None, plain)
    assert plain.pred_ids.shape == (30, 45) and not plain.pred_ids.any()
    first, later = (torch.tensor(PARTS * (PARTS == i)) for i in (4, 13))
    assert codec.encode(_sample(first), GRID).shape[1] == 2
    labels = codec.encode(_sample(later), GRID)
    assert labels.shape[1] == 3 and not labels[0, :2].any()
    codec.decode(labels, plain)
    assert set(plain.pred_ids.unique().tolist()) <= {0, 4, 13}
    assert plain.pred_confidence.shape == (30, 45)
    codec.reset()
    assert codec.encode(_sample(later), GRID).shape[1] == 2


@pytest.mark.parametrize('confidence', [False, True])
def test_labels_that_are_not_numbers_are_refused(confidence):
    codec = MaskCodec(with_confidence=confidence)
    sample = VOSDataSample(prompt_ids=torch.ones(8, 8, dtype=torch.uint8))
    sample.set_metainfo(dict(ori_shape=(8, 8), video='v', frame_name='3'))
    labels = codec.encode(sample, (4, 4))
    codec.decode(labels, sample)
    labels[0, 1, 2, 2] = float('nan')
    with pytest.raises(ValueError, match='video v, frame 3: .*not numbers'):
        codec.decode(labels, sample)
