"""The kernel finds what plain top-k finds, and refuses what it can't read."""

import math
import multiprocessing
import random
import shutil
import subprocess
import sysconfig

import pytest
import torch
import torch.nn.functional as F

from hvc_mm.models.vos import LabelPropagator, native_search, screening
from hvc_mm.models.vos.native_search import (
    LEVELS,
    NativeSearch,
    find_kernel,
    windowed_topk,
)
from hvc_mm.models.vos.window import Window, half_widths, in_window
from hvc_mm.models.vos.windowed_search import Segment

needs_kernel = pytest.mark.skipif(
    find_kernel() is None, reason='the compiled kernel was not built'
)


def _levels():
    kernel = find_kernel()
    return range(kernel.windowed_topk_level() + 1) if kernel else [0]


# Plain top-k.


def _random_case(seed):
    """Arguments of `windowed_topk` of any shape, and the window's cells."""
    pick = random.Random(seed)
    generator = torch.Generator().manual_seed(seed)
    height, width = pick.randint(1, 9), pick.randint(1, 12)
    slots, channels = pick.randint(1, 9), pick.choice([1, 3, 16, 40, 70])
    window = Window(
        pick.choice([None, 1, 2, 2.5, 4, 30]),
        pick.choice(['disc', 'square']),
        pick.random() < 0.5,
    )
    start = pick.randint(0, slots)
    frames = Segment(0, start, pick.randint(start, slots))
    size = {'generator': generator}
    keys = torch.randn(height, width, slots, channels, **size)
    queries = torch.randn(height, width, channels, **size)
    if pick.random() < 0.3:  # ties, everywhere
        keys, queries = keys.round(), queries.round()
    arguments = dict(
        keys=keys,
        queries=queries,
        half_widths=half_widths(height, width, window),
        topk=pick.choice([1, 2, 5, 15, 70]),
        channels=channels,
        frames=frames,
        newest=pick.randint(-1, slots - 1),
        slack=1e-3,
        level=pick.choice(_levels()),
    )
    if pick.random() < 0.7:  # of all kinds, also out of every range
        cells = slots * height * width
        order = torch.randperm(3 * cells, **size) - cells
        seeds = pick.randint(0, min(8, cells))
        few = [order[torch.randperm(3 * cells, **size)[:seeds]]]
        arguments['seeds'] = torch.stack(few * (height * width))
    return arguments, window


def _all_scores(keys, queries, frames, window):
    """Score all pairs in float64, ``(h * w, S * h * w)``."""
    height, width, slots, _ = keys.shape
    table = keys.double().permute(2, 0, 1, 3).flatten(0, 2)
    scores = queries.double().flatten(0, 1) @ table.t()
    cells = torch.arange(height * width)
    dy = cells[:, None] // width - cells // width
    dx = cells[:, None] % width - cells % width
    inside = in_window(dy, dx, window)[:, None].repeat(1, slots, 1)
    inside[:, : frames.start] = inside[:, frames.stop :] = False
    return scores.masked_fill_(~inside.flatten(1), -math.inf)


def _check_is_topk(found, scores, topk):
    padded = F.pad(scores, (0, topk), value=-math.inf)
    expected = padded.topk(topk, dim=1)[0]
    kept, order = found.scores.sort(dim=1, descending=True)
    torch.testing.assert_close(kept.double(), expected, rtol=0, atol=2e-5)
    cells = found.cells.gather(1, order)
    real = kept > -math.inf
    assert torch.equal(real, cells >= 0)
    exact = scores.gather(1, cells.clamp(min=0))
    torch.testing.assert_close(
        exact[real], kept[real].double(), rtol=0, atol=2e-5
    )
    for row, some in zip(cells, real):
        assert len(set(row[some].tolist())) == int(some.sum())


def _try(seed):
    arguments, window = _random_case(seed)
    names = 'keys', 'queries', 'frames'
    scores = _all_scores(*(arguments[name] for name in names), window)
    _check_is_topk(windowed_topk(**arguments), scores, arguments['topk'])


@needs_kernel
def test_it_is_top_k_within_the_window_for_any_shape():
    for seed in range(300):
        _try(seed)


@needs_kernel
@pytest.mark.slow
def test_it_is_top_k_for_many_more_shapes():
    for seed in range(300, 10_300):
        _try(seed)


@needs_kernel
def test_any_number_of_threads_and_any_level_find_the_same(monkeypatch):
    arguments, _ = _random_case(3)
    arguments.update(frames=Segment(0, 0, 1), level=None)
    found = []
    for threads in (1, 2, 3, 40):
        monkeypatch.setattr(torch, 'get_num_threads', lambda n=threads: n)
        found.append(windowed_topk(**arguments))
    assert all(torch.equal(found[0].scores, one.scores) for one in found)
    assert all(torch.equal(found[0].cells, one.cells) for one in found)
    for level in _levels():
        other = windowed_topk(**{**arguments, 'level': level})
        torch.testing.assert_close(other.scores.sort(), found[0].scores.sort())


# Whatever could be read out of bounds is refused.


def _case(**changes):
    base = dict(
        keys=torch.randn(3, 4, 2, 6),
        queries=torch.randn(3, 4, 6),
        half_widths=torch.tensor([1, 1]),
        topk=2,
        channels=6,
        frames=Segment(0, 0, 2),
        seeds=torch.zeros(12, 1, dtype=torch.int64),
    )
    return {**base, **changes}


@needs_kernel
@pytest.mark.parametrize(
    'changes, message',
    [
        (dict(keys=torch.randn(3, 4, 2, 6).double()), 'keys is torch.float64'),
        (dict(keys=torch.randn(3, 4, 6, 2).mT), 'keys must be contiguous'),
        (dict(keys=torch.empty(3, 4, 2, 6, device='meta')), 'on the CPU'),
        (dict(queries=torch.randn(3, 4, 5)), r'expected .* \(3, 4, 6\)'),
        (dict(queries=torch.randn(4, 3, 6)), r'expected .* \(3, 4, 6\)'),
        (dict(queries=torch.randn(3, 4, 6).half()), 'torch.float16'),
        (dict(half_widths=torch.ones(2)), 'half_widths is torch.float32'),
        (dict(half_widths=torch.ones(0).long()), 'out of range'),
        (dict(seeds=torch.zeros(11, 1).long()), r'expected .* \(12, 1\)'),
        (dict(seeds=torch.zeros(12, 1)), 'seeds is torch.float32'),
        (dict(frames=Segment(0, 0, 3)), 'out of range'),
        (dict(frames=Segment(0, 2, 1)), 'out of range'),
        (dict(frames=Segment(0, -1, 1)), 'out of range'),
        (dict(newest=2), 'out of range'),
        (dict(newest=-2), 'out of range'),
        (dict(topk=0), 'out of range'),
        (dict(keys=torch.randn(3, 4, 6)), r'expected \(h, w, S, C \+ P\)'),
        (dict(half_widths=torch.tensor([1, -1])), 'half_widths is out of'),
        (dict(half_widths=torch.tensor([2**62])), 'half_widths is out of'),
        (dict(floors=torch.zeros(11)), r'floors .* expected .* \(12,\)'),
        (dict(channels=7), 'out of range'),
        (dict(channels=0), 'out of range'),
        (dict(level=3), 'out of range'),
        (dict(level=-1), 'out of range'),
    ],
)
def test_what_it_could_not_read_is_refused(changes, message):
    windowed_topk(**_case())
    with pytest.raises(ValueError, match=message):
        windowed_topk(**_case(**changes))


@needs_kernel
@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf, 3e38])
def test_values_that_have_no_order_do_no_harm(value):
    case = _case(level=None)
    case['keys'][1, 2] = value
    case['queries'][0, 1] = value
    found = windowed_topk(**case)
    real = found.cells >= 0
    assert found.cells.max() < 24
    assert (found.scores[~real] == -math.inf).all()
    # Of all others the best are found.
    names = 'keys', 'queries', 'frames'
    window = Window(1, 'square', with_edge=True)
    scores = _all_scores(*(case[name] for name in names), window)
    broken = torch.tensor([1 * 4 + 2, 12 + 1 * 4 + 2])
    scores[:, broken] = -math.inf
    for query in {*range(12)} - {1}:
        sound = [
            (cell, score)
            for cell, score in zip(found.cells[query], found.scores[query])
            if cell >= 0 and cell not in broken
        ]
        taken = int(torch.isin(found.cells[query], broken).sum())
        assert len(sound) + taken == 2
        best = scores[query].topk(2)[0][: len(sound)]
        ours = torch.stack([score for _, score in sound] or [best.sum()])
        torch.testing.assert_close(
            ours.sort(descending=True)[0][: len(best)].double(), best
        )


@needs_kernel
@pytest.mark.parametrize('level', _levels())
@pytest.mark.parametrize('number', [math.nan, math.inf, -math.inf])
def test_without_a_bound_the_numbers_are_not_used(level, number):
    case = _case(keys=torch.randn(3, 4, 2, 8), queries=torch.randn(3, 4, 8))
    case.update(slack=math.inf, level=level)
    window = Window(1, 'square', with_edge=True)
    features = case['keys'][..., :6], case['queries'][..., :6]
    scores = _all_scores(*features, case['frames'], window)
    case['keys'][..., 6:] = number
    _check_is_topk(windowed_topk(**case), scores, 2)


@needs_kernel
def test_one_broken_cell_leaves_the_bound_of_the_others():
    torch.manual_seed(0)
    frames = torch.randn(3, 9, 11, 100)
    frames[1] *= 1e4
    frames[1, 4, 4] = math.nan
    search = NativeSearch(frames[0], Window(2), 1, 4)
    assert search.screen is None
    for time, frame in enumerate(frames[:2]):
        search.write(time, search.prepare(frame))
    (found,) = search.in_window(search.prepare(frames[2]), [Segment(0, 0, 2)])
    assert (found.scores > -math.inf).all()


@needs_kernel
def test_zeros_are_matched_where_denormals_count_as_zero():
    if not torch.set_flush_denormal(True):
        pytest.skip('this processor can not flush denormals')
    try:
        case = _case(keys=torch.zeros(3, 4, 2, 6), newest=1)
        found = windowed_topk(**case)
    finally:
        torch.set_flush_denormal(False)
    assert (found.scores == 0).all() and (found.cells >= 0).all()


@needs_kernel
def test_a_library_of_other_sources_is_not_used(monkeypatch, caplog):
    assert find_kernel.__wrapped__() is not None
    monkeypatch.setattr(native_search, '_checksum', lambda sources: 1)
    assert find_kernel.__wrapped__() is None
    assert 'its sources have changed since' in caplog.text


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which('g++'), reason='no g++ here')
def test_sanitizers_have_nothing_to_say(root_dir, tmp_path):
    program = tmp_path / 'fuzz'
    command = ['g++', '-O1', '-g', '-std=c++17', '-pthread', '-o', program]
    command += ['-fsanitize=address,undefined', '-fno-sanitize-recover=all']
    command += [root_dir / 'tests/models/vos/fuzz_windowed_topk.cpp']
    subprocess.run([*command, f'-I{root_dir}/hvc_mm/csrc'], check=True)
    run = subprocess.run([program, '2000'], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout == '2000 searches\n' and not run.stderr


# Screening.


def _video(grid, channels, count, rank, seed=0):
    """Unit features of a video that vary in few directions, nearly."""
    size = {'generator': torch.Generator().manual_seed(seed)}
    basis = torch.randn(rank, channels, **size)
    scene = torch.randn(1, *grid, rank, **size)
    frames = scene + 0.3 * torch.randn(count, *grid, rank, **size)
    frames = frames @ basis + 0.2 * torch.randn(count, *grid, channels, **size)
    return F.normalize(frames, dim=-1)


def _filled(frames, radius=3, topk=5, slots=4, **options):
    search = NativeSearch(frames[0], Window(radius), topk, slots, **options)
    for time, frame in enumerate(frames[:-1]):
        search.write(time, search.prepare(frame))
    return search


@pytest.fixture
def screen_all(monkeypatch):
    """Screen small grids, too."""
    monkeypatch.setattr(screening, 'LEAST_CELLS', 1)


def test_only_what_varies_in_few_directions_is_screened(screen_all):
    real = _video((9, 11), 128, 2, rank=6)
    noise = _video((9, 11), 128, 2, rank=128)
    narrow = _video((9, 11), 64, 2, rank=6)
    broken = real.clone()
    broken[0, 3, 3] = math.nan
    for frames, screened in (real, 32), (noise, 0), (narrow, 0), (broken, 0):
        search = NativeSearch(frames[0], Window(3), 5, 4)
        assert (search.screen.width if search.screen else 0) == screened
        shape = 9, 11, frames.shape[3] + screened
        assert search.prepare(frames[1]).shape == shape


@pytest.mark.parametrize('scale', [1, 1e-3, 50])
def test_the_bound_is_one(screen_all, scale):
    frames = scale * _video((9, 11), 128, 3, rank=6)
    search = _filled(frames)
    keys = search.prepare(frames[1]).flatten(0, 1)
    queries = search.prepare(frames[2]).flatten(0, 1)
    exact = queries[:, :128].double() @ keys[:, :128].double().t()
    bound = queries[:, 128:].double() @ keys[:, 128:].double().t()
    excess = bound - exact
    assert excess.min() > -search.screen.slack
    assert search.screen.slack < 1e-4 * scale**2
    # And not a useless one.
    assert excess.mean() < 0.3 * scale**2


@needs_kernel
@pytest.mark.parametrize('level', range(len(LEVELS)))
@pytest.mark.parametrize('scale', [1, 50])
def test_screened_search_is_top_k(screen_all, level, scale):
    if level not in _levels():
        pytest.skip(f'no {LEVELS[level]} here')
    frames = scale * _video((9, 11), 128, 7, rank=6)
    search = _filled(frames, level=level)
    assert search.screen.width == 32
    query = frames[-1]
    ring = torch.stack([frames[4], frames[5], frames[2], frames[3]], dim=2)
    for parts in ([(0, 4)], [(0, 2), (2, 4)], [(0, 2), (2, 4)]):
        segments = [Segment(0, *part) for part in parts]
        found = search.in_window(search.prepare(query), segments)
        for segment, one in zip(segments, found):
            scores = _all_scores(ring, query, segment, Window(3))
            _check_is_topk(_unit(one, scale), scores / scale**2, 5)
    only = Segment(0, 0, 1)
    for _ in range(2):  # the second time led by the matches of the first
        found = search.anywhere(
            search.prepare(frames[0]), search.prepare(query)
        )
        scores = _all_scores(frames[0][:, :, None], query, only, Window(None))
        _check_is_topk(_unit(found, scale), scores / scale**2, 5)


def _unit(found, scale):
    return found._replace(scores=found.scores / scale**2)


@needs_kernel
def test_a_frame_is_prepared_once_and_never_mixed_up(screen_all):
    frames = _video((9, 11), 128, 3, rank=6)
    search = _filled(frames)
    first = search.prepare(frames[2])
    numbers = search.screen.prepare(frames[2])
    assert search.screen.prepare(frames[2].clone()) is numbers
    assert torch.equal(first[..., 128:], numbers)
    other = search.prepare(frames[1])
    assert torch.equal(other[..., :128], frames[1])
    assert torch.equal(first[..., :128], frames[2])


# In the propagator.


@needs_kernel
@pytest.mark.parametrize('seed', range(60))
def test_labels_equal_those_of_torch(video, seed, screen_all, monkeypatch):
    monkeypatch.setattr(screening, 'LEAST_CHANNELS', 8)
    pick = random.Random(seed)
    monkeypatch.setattr(screening, 'LEAST_ENERGY', pick.choice([0.0, 2.0]))
    grid = pick.randint(1, 13), pick.randint(1, 17)
    settings = dict(
        radius=pick.choice([None, 1, 1.5, 2, 3.7, 5, 12]),
        topk=pick.choice([1, 2, 5, 15, 60]),
        context=pick.choice([0, 1, 2, 5, 9]),
        repeat_reference=pick.choice([True, True, False, 'latest']),
        reference_in_window=pick.random() < 0.4,
        window=pick.choice(['disc', 'square']),
        with_edge=pick.random() < 0.5,
    )
    kernel = LabelPropagator(**settings, native=True)
    plain = LabelPropagator(**settings, native=False)
    new_at = sorted(pick.sample(range(1, 14), pick.randint(0, 3)))
    for features, labels in video(seed, grid, 16, 14, new_at, torch.float32):
        if not plain.time:
            found = expected = None
        else:
            found = kernel.predict(features)
            expected = plain.predict(features)
            assert (found - expected).abs().max() < 1e-6
        # Both go on from the same labels.
        kernel.observe(features, expected, labels)
        plain.observe(features, expected, labels)
    assert isinstance(kernel._search, NativeSearch)


@needs_kernel
@pytest.mark.parametrize('seed', range(20))
def test_corrections_equal_those_of_torch(
    video, correction, seed, screen_all, monkeypatch
):
    monkeypatch.setattr(screening, 'LEAST_CHANNELS', 8)
    pick = random.Random(seed)
    settings = dict(
        radius=pick.choice([None, 2, 5]),
        topk=pick.choice([1, 5, 30]),
        context=pick.choice([0, 2, 9]),
        repeat_reference=pick.choice([True, False, 'latest']),
        reference_in_window=pick.random() < 0.3,
    )
    kernel = LabelPropagator(**settings, native=True)
    plain = LabelPropagator(**settings, native=False)
    grid = pick.randint(1, 9), pick.randint(1, 12)
    stream = video(seed, grid, 16, 12, [4], torch.float32)
    for time, (features, labels) in enumerate(stream):
        fix = None
        if time in (3, 4, 8):
            fix = correction(pick, 2 + (time > 4), grid, torch.float32)
        found = expected = None
        if time:
            found = kernel.predict(features)
            expected = plain.predict(features)
            assert (found - expected).abs().max() < 1e-6
        kernel.observe(features, expected, labels, fix)
        plain.observe(features, expected, labels, fix)


@pytest.mark.parametrize('content', [b'', b'no library'])
def test_a_library_that_does_not_load_is_none(
    content, tmp_path, monkeypatch, caplog
):
    folder = tmp_path / 'csrc'
    folder.mkdir()
    suffix = sysconfig.get_config_var('EXT_SUFFIX')
    (folder / f'_windowed_topk{suffix}').write_bytes(content)
    place = tmp_path / 'models/vos/native_search.py'
    monkeypatch.setattr(native_search, '__file__', str(place))
    assert find_kernel.__wrapped__() is None
    assert 'is not used, build it again' in caplog.text


def _predict_again(propagator, features, results):
    results.put(propagator.predict(features).tolist())


@needs_kernel
def test_a_forked_process_can_search(video, monkeypatch):
    """As workers of data loaders are made: no pool of threads is left."""
    monkeypatch.setattr(torch, 'get_num_threads', lambda: 2)
    propagator = LabelPropagator(2, native=True)
    for features, labels in video(0, (6, 7), 6, 3, (), torch.float32):
        propagator.step(features, labels)
    expected = propagator.predict(features).tolist()
    fork = multiprocessing.get_context('fork')
    results = fork.SimpleQueue()
    child = fork.Process(
        target=_predict_again, args=(propagator, features, results)
    )
    child.start()
    child.join(30)
    assert child.exitcode == 0
    assert results.get() == expected
