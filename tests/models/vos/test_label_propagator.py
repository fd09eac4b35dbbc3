import random

import pytest
import torch
import torch.nn.functional as F

from hvc_mm.models.vos import (
    LabelPropagator,
    native_search,
    propagate,
    screened_search,
    screening,
    windowed_search,
)
from hvc_mm.models.vos.label_propagator import (
    correct_labels,
    split_context,
)
from hvc_mm.registry import MODELS


@pytest.mark.parametrize('seed', range(100))
def test_equals_the_dense_form(dense_stream, video, seed):
    """In float64 only an error, not rounding, can tell them apart."""
    pick = random.Random(seed)
    grid = pick.randint(1, 13), pick.randint(1, 17)
    settings = dict(
        radius=pick.choice([None, 1, 1.5, 2, 3.7, 5, 12, 40]),
        topk=pick.choice([1, 2, 5, 15, 60]),
        context=pick.choice([0, 1, 2, 5, 9]),
        repeat_reference=pick.choice([True, True, False, 'latest']),
        reference_in_window=pick.random() < 0.4,
        window=pick.choice(['disc', 'square']),
        with_edge=pick.random() < 0.5,
    )
    count = pick.randint(2, 14)
    new_at = sorted(pick.sample(range(1, 14), pick.randint(0, 3)))
    mine, dense = LabelPropagator(**settings), dense_stream(**settings)
    channels = pick.choice([2, 3, 8])
    for features, labels in video(seed, grid, channels, count, new_at):
        found = mine.step(features, labels)
        torch.testing.assert_close(
            found,
            dense.step(features, labels),
            msg=lambda m: f'{grid}, {settings}, {new_at}: {m}',
        )


@pytest.mark.parametrize('seed', range(60))
def test_corrections_equal_the_dense_form(
    dense_stream, video, correction, seed
):
    """The same formula, with one more reference frame in every context."""
    pick = random.Random(seed)
    grid = pick.randint(2, 12), pick.randint(2, 14)
    settings = dict(
        radius=pick.choice([None, 1.5, 3.7, 12]),
        topk=pick.choice([1, 5, 15, 60]),
        context=pick.choice([0, 1, 2, 5, 9]),
        repeat_reference=pick.choice([True, True, False, 'latest']),
        reference_in_window=pick.random() < 0.3,
    )
    new_at = sorted(pick.sample(range(1, 14), pick.randint(0, 2)))
    # Some on a frame that brings an object, too.
    fixed_at = pick.sample(range(1, 14), 2) + new_at[:1]
    mine, dense = LabelPropagator(**settings), dense_stream(**settings)
    known = 0
    for time, (features, new) in enumerate(video(seed, grid, 8, 14, new_at)):
        fix = correction(pick, known, grid) if time in fixed_at else None
        found = mine.step(features, new, fix)
        torch.testing.assert_close(found, dense.step(features, new, fix))
        known = found.shape[1]
    assert max(len(one.frames) for one in mine.references) > 1


@pytest.mark.parametrize('dtype', [None, 'bfloat16'])
@pytest.mark.parametrize('new_at', [[], [3], [2, 3, 9]])
def test_equals_the_dense_form_in_float32(dense_stream, video, new_at, dtype):
    settings = dict(radius=4, topk=6, context=5)
    mine = LabelPropagator(**settings, compute_dtype=dtype)
    exact = dense_stream(**settings)
    for features, labels in video(0, (11, 13), 16, 14, new_at):
        single = None if labels is None else labels.float()
        found = None
        if exact.frames:
            found = mine.predict(features.float())
            assert found.dtype == torch.float32
            clear = exact.is_clear(features)
            error = (found - exact.predict(features)).abs().amax(1).flatten()
            assert error[clear].max() < 2e-6
            assert clear.float().mean() > 0.98
        kept = mine.observe(features.float(), found, single)
        # Both go on from the same labels.
        exact.step(features, labels)
        exact.frames[-1] = features, kept.double()


@pytest.mark.parametrize('seed', range(40))
def test_screening_changes_nothing(dense_stream, video, seed, monkeypatch):
    """Neither by directions, though these say little here, nor by a half
    type: in float64 only an error, not rounding, can tell them apart."""
    monkeypatch.setattr(screening, 'LEAST_CELLS', 1)
    monkeypatch.setattr(screening, 'LEAST_CHANNELS', 1)
    monkeypatch.setattr(screening, 'LEAST_ENERGY', 0)
    pick = random.Random(seed)
    settings = dict(
        radius=pick.choice([None, 1, 1.5, 2, 3.7, 5, 12]),
        topk=pick.choice([1, 2, 5, 15]),
        context=pick.choice([0, 1, 2, 5, 9]),
        repeat_reference=pick.choice([True, True, False, 'latest']),
        reference_in_window=pick.random() < 0.4,
        window=pick.choice(['disc', 'square']),
        with_edge=pick.random() < 0.5,
    )
    dtype = pick.choice([None, 'auto', 'bfloat16', torch.bfloat16])
    mine = LabelPropagator(**settings, compute_dtype=dtype)
    dense = dense_stream(**settings)
    grid = pick.randint(1, 13), pick.randint(1, 17)
    new_at = sorted(pick.sample(range(1, 14), pick.randint(0, 3)))
    fix = {5: {1: torch.full(grid, 0.5).double()}}
    for time, frame in enumerate(video(seed, grid, 16, 12, new_at)):
        frame = (*frame, fix.get(time))
        found, expected = mine.step(*frame), dense.step(*frame)
        torch.testing.assert_close(found, expected)
    assert type(mine._search).__name__ == 'ScreenedSearch'


def test_the_share_that_was_not_certain_is_logged_once(video, monkeypatch):
    lines = []
    monkeypatch.setattr(
        screened_search, 'print_log', lambda text, *_: lines.append(text)
    )
    propagator = LabelPropagator(4, 5, compute_dtype='bfloat16')
    for frame in video(0, (9, 11), 8, 5, (), torch.float32):
        propagator.step(*frame)
    assert not lines
    propagator.reset()
    propagator.reset()
    assert len(lines) == 1 and 'of the queries were not certain' in lines[0]


def test_products_in_a_wider_type(dense_stream, video):
    mine = LabelPropagator(4, 5, context=5, compute_dtype='float64')
    exact = dense_stream(4, 5, context=5)
    for features, labels in video(0, (7, 9), 8, 9, [3], torch.float32):
        found = mine.step(features, labels)
        wide = None if labels is None else labels.double()
        torch.testing.assert_close(
            found, exact.step(features.double(), wide).float()
        )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')
@pytest.mark.parametrize('dtype', [None, 'bfloat16'])
def test_gpu_equals_cpu(dense_stream, video, dtype):
    settings = dict(radius=4, topk=6, context=5)
    mine = LabelPropagator(**settings, compute_dtype=dtype)
    exact = dense_stream(**settings)
    frames = video(0, (20, 23), 16, 14, [3, 9], torch.float32)
    for time, (features, labels) in enumerate(frames):
        fix = {1: torch.full((20, 23), 0.5)} if time == 6 else None
        found = mine.step(
            features.cuda(), None if labels is None else labels.cuda(), fix
        )
        expected = exact.step(features, labels, fix)
        torch.testing.assert_close(found.cpu(), expected)


# The rules of a stream.


@pytest.mark.parametrize(
    'time, starts',
    [(10, [0, 5]), (3, [0]), (4, [0]), (5, [1])],
    ids=['long gone', 'young', 'full', 'the oldest'],
)
def test_references_cut_only_what_some_leave_out(time, starts):
    (one,) = split_context(time, 4, starts)
    assert (one.start, one.stop) == (0, min(time, 4))


def _frame(seed, channels=6, grid=(4, 5)):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(1, channels, *grid, generator=generator)
    return F.normalize(values.double(), dim=1)


def _labels(*channels, of=3, grid=(4, 5), value=0.25):
    labels = torch.zeros(1, of, *grid, dtype=torch.float64)
    labels[:, list(channels), 1] = value
    return labels


def test_channels_may_be_more_or_fewer_than_before():
    propagator = LabelPropagator(radius=2)
    propagator.step(_frame(0), _labels(0, 1, of=2))
    before = propagator.predict(_frame(1))
    after = propagator.step(_frame(1), torch.zeros(1, 5, 4, 5))
    torch.testing.assert_close(after, F.pad(before, (0, 0, 0, 0, 0, 3)))
    assert len(propagator.references) == 1
    assert propagator.step(_frame(2), _labels(2, of=3)).shape[1] == 5
    assert [one.time for one in propagator.references] == [0, 2]
    assert propagator.known_channels() == {0, 1, 2}


@pytest.mark.parametrize('channel', [0, 1])
def test_known_objects_may_not_come_again(channel):
    propagator = LabelPropagator(radius=2)
    propagator.step(_frame(0), _labels(1))  # 0 is known even if empty
    with pytest.raises(ValueError, match=rf'\[{channel}\], already known'):
        propagator.step(_frame(1), _labels(channel, 2))
    # Nothing was taken in: the stream goes on.
    assert propagator.time == 1
    propagator.step(_frame(1), _labels(2))


# Corrections, which no published protocol has.


def _square(left, grid=(6, 12)):
    labels = torch.zeros(grid, dtype=torch.float64)
    labels[2:4, left : left + 2] = 1
    return labels


def test_a_correction_takes_the_place_of_a_prediction():
    propagator = LabelPropagator(radius=2, context=3)
    propagator.step(_frame(0), _labels(0, 1, 2, value=1 / 3))
    predicted = propagator.predict(_frame(1))
    fix = torch.zeros(4, 5, dtype=torch.float64)
    fix[0], fix[1] = 1, 0.25
    found = propagator.step(_frame(1), None, {2: fix})
    assert torch.equal(found[0, 2], fix)
    torch.testing.assert_close(found.sum(1), torch.ones_like(found[:, 0]))
    # The others share the rest as they did before.
    share = predicted[0, 1] / predicted[0, :2].sum(0)
    torch.testing.assert_close(found[0, 1], (share * (1 - fix)).nan_to_num())
    assert [(one.time, one.frames) for one in propagator.references] == [
        (1, (0, 1))
    ]


def test_an_object_that_the_grid_missed_begins_with_its_correction():
    propagator = LabelPropagator(radius=2)
    propagator.step(_frame(0), _labels(0, 1))
    assert propagator.known_channels() == {0, 1}
    fix = torch.ones(4, 5, dtype=torch.float64)
    propagator.step(_frame(1), None, {2: fix})
    assert [one.channels.tolist() for one in propagator.references] == [
        [0, 1],
        [2],
    ]
    predicted = propagator.predict(_frame(2))
    torch.testing.assert_close(predicted[0, 2], fix)


def test_where_nothing_else_was_predicted_is_background():
    labels = torch.zeros(1, 3, 2, 2)
    labels[:, 1] = 1
    found = correct_labels(labels, {1: torch.zeros(2, 2)})
    assert torch.equal(found[0].amax(dim=(1, 2)), torch.tensor([1.0, 0, 0]))


@pytest.mark.parametrize('native', [None, False])
def test_what_was_lost_is_followed_again(native):
    """A square that jumps out of reach is where the correction says, and so
    is the cell that it left; what was wrong before does not come back."""
    generator = torch.Generator().manual_seed(0)
    ground = torch.randn(1, 16, 6, 12, generator=generator)

    def frame(left):
        features = ground.clone()
        features[..., 2:4, left : left + 2] += 4
        return F.normalize(features, dim=1)

    def play(corrections):
        propagator = LabelPropagator(2, topk=5, context=8, native=native)
        first = torch.stack([1 - _square(1), _square(1)])[None].float()
        found = []
        for time, left in enumerate([1, 1, 8, 8, 8, 8, 9, 9]):
            labels = None if time else first
            fix = corrections.get(time)
            soft = propagator.step(frame(left), labels, fix)
            found.append((soft.argmax(1)[0] == 1, _square(left) > 0))
        return [float((a & b).sum() / (a | b).sum()) for a, b in found]

    # Two look alike: only the mask can tell which one is followed.
    plain, fixed = play({}), play({3: {1: _square(8).float()}})
    assert plain[:3] == fixed[:3] and fixed[1] == 1
    assert min(fixed[3:]) > 0.9 > max(plain[3:])


@pytest.mark.parametrize(
    'time, corrections, message',
    [
        (0, {1: _square(0)}, r'frame 0 corrects channels \[1\], but only 0'),
        (1, {2: _square(0), 0: _square(0)}, r'channels \[0, 2\], but only 2'),
        (1, {1: _square(0, (6, 5))}, r'channel 1 is .*expected .*\(6, 12\)'),
        (1, {1: _square(0).long()}, 'channel 1 is torch.int64'),
    ],
)
def test_corrections_that_are_refused(time, corrections, message):
    propagator, grid = LabelPropagator(radius=2), (6, 12)
    labels = _labels(0, 1, of=2, grid=grid)
    if time:
        propagator.step(_frame(0, grid=grid), labels)
    with pytest.raises(ValueError, match=message):
        propagator.step(
            _frame(1, grid=grid), None if time else labels, corrections
        )
    assert propagator.time == time


def test_reset_starts_anew():
    propagator = LabelPropagator(radius=2)

    def play(channels, grid):
        labels = _labels(0, 1, grid=grid)
        frames = [_frame(t, channels, grid) for t in range(3)]
        return [
            propagator.step(frame, None if t else labels)
            for t, frame in enumerate(frames)
        ]

    first = play(6, (4, 5))
    propagator.reset()
    with pytest.raises(ValueError, match='must bring new_labels'):
        propagator.step(_frame(0))
    with pytest.raises(ValueError, match='no frame has brought labels'):
        propagator.predict(_frame(0))
    assert play(4, (6, 3))[-1].shape == (1, 3, 6, 3)
    propagator.reset()
    assert all(map(torch.equal, first, play(6, (4, 5))))


@pytest.mark.parametrize('dtype', [None, 'float32'])
def test_a_reference_keeps_its_own_copy(dtype):
    propagator = LabelPropagator(radius=2, compute_dtype=dtype)
    batch = torch.cat([_frame(0), _frame(1)])
    batch = batch.contiguous(memory_format=torch.channels_last)
    propagator.step(batch[:1], _labels(0, 1))
    expected = propagator.predict(_frame(2))
    batch.zero_()
    assert torch.equal(propagator.predict(_frame(2)), expected)


def test_half_features_are_taken_as_float32():
    one, two = LabelPropagator(radius=2), LabelPropagator(radius=2)
    for t in range(3):
        half = _frame(t).half()
        labels = None if t else _labels(0, 1).half()
        soft = one.step(half, labels)
        assert soft.dtype == torch.float32
        other = two.step(half.float(), None if t else labels.float())
        torch.testing.assert_close(soft, other)


@pytest.mark.parametrize(
    'features, labels, message',
    [
        (_frame(1, grid=(4, 6)), None, r'call reset\(\) between videos'),
        (_frame(1, channels=7), None, r'call reset\(\) between videos'),
        (_frame(1)[0], None, r'features must be \(1, C, h, w\)'),
        (_frame(1), _labels(2, grid=(5, 4)), r'expected \(1, M, h, w\)'),
        (_frame(1), _labels(2).long(), 'floating point'),
        (_frame(1), _labels(2)[0], r'expected \(1, M, h, w\)'),
    ],
)
def test_bad_input(features, labels, message):
    propagator = LabelPropagator()
    propagator.step(_frame(0), _labels(0, 1))
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
        ({'compute_dtype': 'int64'}, "must be a floating-point.*'int64'"),
        ({'compute_dtype': 'half_float'}, "floating-point.*'half_float'"),
        ({'compute_dtype': 16}, 'must be a floating-point.*16'),
        ({'window': 'circle'}, "window must be 'disc' or 'square'.*'circle'"),
        ({'repeat_reference': 'once'}, "True, False or 'latest', got 'once'"),
        ({'bank_dtype': 'float16'}, 'bank_dtype is gone.*shorter `context`'),
        ({'bank_device': None}, 'bank_device is gone.*shorter `context`'),
        (
            {'type': 'DenseLabelPropagator'},
            'DenseLabelPropagator is gone: LabelPropagator gives the same',
        ),
    ],
)
def test_settings_that_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        MODELS.build({'type': 'hvc_mm.LabelPropagator', **settings})


def test_unknown_arguments_are_named():
    with pytest.raises(TypeError, match="no argument 'radios'"):
        LabelPropagator(radios=3)


# Memory: what is kept is what docs/design.md says, at any length.

GRID, CHANNELS, CONTEXT, LABELS = (20, 22), 512, 8, 3
AREA = GRID[0] * GRID[1]


def _held_bytes(thing, seen):
    """Collect the storages of all tensors that an object leads to."""
    if isinstance(thing, torch.Tensor):
        storage = thing.untyped_storage()
        seen[storage.data_ptr()] = storage.nbytes()
    elif isinstance(thing, dict):
        for value in thing.values():
            _held_bytes(value, seen)
    elif isinstance(thing, (list, tuple)):
        for value in thing:
            _held_bytes(value, seen)
    elif hasattr(thing, '__dict__') and not isinstance(thing, type):
        _held_bytes(vars(thing), seen)
    return sum(seen.values())


def _play(frames, second=False, fix=False, **options):
    """Count the bytes that are held after so many frames."""
    generator = torch.Generator().manual_seed(0)
    propagator = LabelPropagator(radius=4, context=CONTEXT, **options)
    labels = torch.zeros(1, LABELS, *GRID)
    labels[:, 0], labels[:, 1, :5], labels[:, 2, 5:9] = 0.2, 0.4, 0.4
    for time in range(frames):
        features = torch.randn(1, CHANNELS, *GRID, generator=generator)
        new = labels if time == 0 else None
        if second and time == 3:
            new = torch.cat([torch.zeros_like(labels), labels[:, 1:2]], 1)
        corrections = {1: labels[0, 1]} if fix and time == 3 else None
        propagator.step(F.normalize(features, dim=1), new, corrections)
    return _held_bytes(propagator, {})


@pytest.mark.parametrize(
    'options, maps, labels',
    [
        ({}, CONTEXT + 1, LABELS),
        # The ring and the reference once more, in half.
        (dict(compute_dtype='bfloat16'), 1.5 * (CONTEXT + 1), LABELS),
        (dict(second=True), CONTEXT + 2, LABELS + 1),
        # The correction's own labels are one map of the ring's more.
        (dict(fix=True), CONTEXT + 2, LABELS * (CONTEXT + 2) / (CONTEXT + 1)),
    ],
    ids=['fp32', 'half products', 'two references', 'corrected'],
)
def test_it_keeps_what_the_formula_says(options, maps, labels, monkeypatch):
    budget, radius = 64 << 10, 4
    monkeypatch.setattr(windowed_search, 'CPU_BUDGET', budget)
    options = {**options, 'native': False}
    early, late = _play(CONTEXT + 2, **options), _play(25, **options)
    assert late == early, 'it grows with the video'
    expected = 4 * AREA * (maps * CHANNELS + (CONTEXT + 1) * labels)
    # To work in: a tile's scores, and the tables of the window.
    window = sum(
        y * y + x * x < radius**2 for y in range(-4, 4) for x in range(-4, 4)
    )
    work = budget + (2 * radius + 1) * AREA * window * 9
    assert expected <= late <= expected + work < 1.4 * expected


@pytest.mark.skipif(
    native_search.find_kernel() is None, reason='the kernel was not built'
)
@pytest.mark.parametrize('energy, share', [(0, 1.25), (2, 1)])
def test_the_kernel_keeps_a_quarter_more_to_screen(energy, share, monkeypatch):
    monkeypatch.setattr(screening, 'LEAST_CELLS', 1)
    monkeypatch.setattr(screening, 'LEAST_ENERGY', energy)
    early, late = (_play(n, native=True) for n in (CONTEXT + 2, 25))
    assert late == early, 'it grows with the video'
    labels = (CONTEXT + 1) * LABELS
    expected = 4 * AREA * ((CONTEXT + 1) * CHANNELS * share + labels)
    # The directions, the frame at hand, and the last one's matches.
    work = CHANNELS**2 / 4 * 8 + 4 * AREA * CHANNELS * share
    work += 2 * 15 * AREA * 8
    assert expected <= late <= expected + work + 1000


@pytest.mark.parametrize(
    'options', [{}, {'native': False}, {'compute_dtype': 'bfloat16'}], ids=str
)
def test_autocast_changes_nothing(monkeypatch, options):
    monkeypatch.setattr(screening, 'LEAST_CELLS', 1)
    torch.manual_seed(0)
    basis, scene = torch.randn(6, 128), torch.randn(8, 9, 6)
    frames = scene + 0.3 * torch.randn(5, 8, 9, 6)
    frames = frames @ basis + 0.2 * torch.randn(5, 8, 9, 128)
    frames = F.normalize(frames, dim=3).permute(0, 3, 1, 2).split(1)
    labels = torch.rand(1, 3, 8, 9)
    found = []
    for enabled in (False, True):
        propagator = LabelPropagator(3, context=3, **options)
        with torch.autocast('cpu', torch.bfloat16, enabled=enabled):
            found.append(
                [
                    propagator.step(frame, None if t else labels)
                    for t, frame in enumerate(frames)
                ]
            )
            context = torch.cat(frames[:2]), labels.repeat(2, 1, 1, 1)
            found[-1].append(propagate(*context, frames[2], 3, 15, 0.1))
    for plain, cast in zip(*found):
        assert torch.equal(plain, cast)


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
@pytest.mark.parametrize('native', [None, False])
def test_features_that_are_not_finite_are_refused(video, value, native):
    frame, labels = next(video(0, (4, 5), 6, 1, (), torch.float32))
    broken = frame.clone()
    broken[0, 2, 1, 1] = value
    propagator = LabelPropagator(2, native=native)
    with pytest.raises(ValueError, match='features of frame 0 hold values'):
        propagator.step(broken, labels)
    propagator.step(frame, labels)
    with pytest.raises(ValueError, match='features of frame 1 .*finite ones'):
        propagator.step(broken)
