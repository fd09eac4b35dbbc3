import pytest
import torch
import torch.nn.functional as F

from hvc_mm.models.vos import DenseLabelPropagator, LabelPropagator
from hvc_mm.models.vos.streaming_propagator import Reference, pad_channels


@pytest.fixture(params=[LabelPropagator, DenseLabelPropagator])
def form(request):
    return request.param


def frame(seed, channels=6, grid=(4, 5)):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(1, channels, *grid, generator=generator)
    return F.normalize(values.double(), dim=1)


def planes(*channels, of=3, grid=(4, 5), value=0.25):
    labels = torch.zeros(1, of, *grid, dtype=torch.float64)
    labels[:, list(channels), 1] = value
    return labels


def test_first_frame_comes_back_unchanged(form):
    labels = torch.rand(1, 3, 4, 5)
    assert torch.equal(form().step(frame(0), labels), labels)


def test_later_frames_sum_like_the_first(form):
    propagator = form(radius=2, topk=4)
    labels = torch.rand(1, 3, 4, 5).double()
    labels /= labels.sum(1, keepdim=True)
    propagator.step(frame(0), labels)
    for t in range(1, 5):
        soft = propagator.step(frame(t))
        assert soft.shape == (1, 3, 4, 5)
        torch.testing.assert_close(soft.sum(1), torch.ones(1, 4, 5).double())


def test_newcomers_are_laid_over_and_become_a_reference(form):
    propagator = form(radius=2, topk=4, context=2)
    propagator.step(frame(0), planes(0, 1, of=2))
    for t in (1, 2):
        propagator.step(frame(t))
    predicted = propagator.predict(frame(3))
    assert predicted.shape[1] == 2
    new = planes(3, of=4, value=0.75)
    merged = propagator.step(frame(3), new)
    share = new.sum(1, keepdim=True)
    expected = (1 - share) * F.pad(predicted, (0, 0, 0, 0, 0, 2)) + share * new
    torch.testing.assert_close(merged, expected)
    assert [one.time for one in propagator.references] == [0, 3]
    assert propagator.known_channels() == {0, 1, 3}
    later = propagator.step(frame(4))
    assert later.shape[1] == 4
    assert later[:, 3].any() and not later[:, 2].any()


def test_empty_newcomers_only_widen(form):
    propagator = form(radius=2)
    propagator.step(frame(0), planes(0, 1, of=2))
    same = propagator.predict(frame(1))
    wide = propagator.step(frame(1), torch.zeros(1, 5, 4, 5))
    torch.testing.assert_close(wide, pad_channels(same, 5))
    assert len(propagator.references) == 1
    assert propagator.step(frame(2)).shape[1] == 5


def test_fewer_planes_than_before(form):
    propagator = form(radius=2)
    propagator.step(frame(0), planes(0, 3, of=4))
    assert propagator.step(frame(1), planes(1, of=2)).shape[1] == 4
    assert propagator.known_channels() == {0, 1, 3}


@pytest.mark.parametrize('channel', [0, 1])
def test_known_objects_may_not_come_again(form, channel):
    propagator = form(radius=2)
    propagator.step(frame(0), planes(0, 1))
    with pytest.raises(ValueError, match=rf'\[{channel}\], already known'):
        propagator.step(frame(1), planes(channel, 2))
    # Nothing was taken in: the stream goes on.
    assert propagator.time == 1
    propagator.step(frame(1), planes(2))


def test_reset_starts_anew(form):
    propagator = form(radius=2)
    first = [propagator.step(frame(0), planes(0, 1))]
    first += [propagator.step(frame(t)) for t in (1, 2)]
    propagator.reset()
    with pytest.raises(ValueError, match='must bring new_labels'):
        propagator.step(frame(0))
    grid = (6, 3)  # another size is fine after a reset
    propagator.step(frame(0, 4, grid), planes(0, 1, grid=grid))
    assert propagator.step(frame(1, 4, grid)).shape == (1, 3, 6, 3)
    propagator.reset()
    again = [propagator.step(frame(0), planes(0, 1))]
    again += [propagator.step(frame(t)) for t in (1, 2)]
    for one, other in zip(first, again):
        assert torch.equal(one, other)


def test_observe_and_predict_make_a_step(form):
    one, two = form(radius=2), form(radius=2)
    for propagator in (one, two):
        propagator.step(frame(0), planes(0, 1))
    stepped = one.step(frame(1))
    predicted = two.predict(frame(1))
    assert two.time == 1, 'predict keeps nothing'
    two.observe(frame(1), predicted)
    torch.testing.assert_close(stepped, predicted)
    torch.testing.assert_close(one.step(frame(2)), two.step(frame(2)))


def test_half_features_are_taken_as_float32(form):
    one, two = form(radius=2), form(radius=2)
    for t in range(3):
        labels = planes(0, 1).half() if t == 0 else None
        half = frame(t).half()
        soft = one.step(half, labels)
        assert soft.dtype == torch.float32
        other = two.step(half.float(), labels.float() if t == 0 else None)
        torch.testing.assert_close(soft, other)


@pytest.mark.parametrize(
    'features, labels, message',
    [
        (frame(1, grid=(4, 6)), None, r'call reset\(\) between videos'),
        (frame(1, channels=7), None, r'call reset\(\) between videos'),
        (frame(1)[0], None, r'features must be \(1, C, h, w\)'),
        (frame(1), planes(2, grid=(5, 4)), r'expected \(1, M, h, w\)'),
        (frame(1), planes(2).long(), 'floating point'),
        (frame(1), planes(2)[0], r'expected \(1, M, h, w\)'),
    ],
)
def test_bad_input(form, features, labels, message):
    propagator = form()
    propagator.step(frame(0), planes(0, 1))
    with pytest.raises(ValueError, match=message):
        propagator.step(features, labels)


@pytest.mark.parametrize(
    'settings, message',
    [
        ({'radius': -1}, 'radius must be > 0 or None, got -1'),
        ({'topk': 0}, 'topk must be an integer >= 1, got 0'),
        ({'topk': 2.5}, 'topk must be an integer >= 1, got 2.5'),
        ({'temperature': 0}, 'temperature must be > 0, got 0'),
        ({'context': -1}, 'context must be an integer >= 0, got -1'),
    ],
)
def test_bad_settings(form, settings, message):
    with pytest.raises(ValueError, match=message):
        form(**settings)


def test_predict_needs_a_first_frame(form):
    with pytest.raises(ValueError, match='no frame has brought labels'):
        form().predict(frame(0))


def test_reference_mask():
    mask = Reference(0, torch.tensor([True, False, True])).mask(5)
    assert mask.flatten().tolist() == [1, 0, 1, 0, 0]
