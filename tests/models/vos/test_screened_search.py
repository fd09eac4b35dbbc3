"""Whatever the numbers are, what is found is top-k by the features."""

import threading

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from hvc_mm.models.vos import screened_search
from hvc_mm.models.vos.screened_search import (
    ScreenedSearch,
    _sums_in_float32,
)
from hvc_mm.models.vos.screening import Screen
from hvc_mm.models.vos.window import Window
from hvc_mm.models.vos.windowed_search import (
    Candidates,
    Segment,
    WindowedSearch,
)

HALF, SINGLE, DOUBLE = torch.bfloat16, torch.float32, torch.float64
# Column a's torch has no products of float16 on a CPU.
HALVES = [HALF]
try:
    torch.mm(*torch.ones(2, 1, 1).half())
    HALVES.append(torch.float16)
except RuntimeError:
    pass


def _frames(seed, grid, count, channels=24, ties=0.0):
    """Features in float64, where rounding tells no two scores apart.

    With ``ties`` all keys are one vector but for so much: scores differ by
    less than a half type can tell, and bounds say next to nothing.
    """
    size = {'generator': torch.Generator().manual_seed(seed), 'dtype': DOUBLE}
    frames = torch.randn(count, *grid, 4, **size) @ torch.randn(
        4, channels, **size
    )
    frames += 0.2 * torch.randn(count, *grid, channels, **size)
    if ties:
        frames = torch.randn(channels, **size) + ties * frames
    return F.normalize(frames, dim=-1)


def _directions(frame, count=5):
    rows = frame.flatten(0, 1)
    return torch.linalg.eigh(rows.t() @ rows)[1][:, -count:].contiguous()


def _make(frames, dtype, radius=2.5, topk=4, slots=4):
    directions = _directions(frames[0]) if dtype == DOUBLE else None
    screen = Screen(frames[0], directions, dtype)
    settings = Window(radius), topk, slots
    mine = ScreenedSearch(frames[0], *settings, screen)
    plain = WindowedSearch(frames[0], *settings, DOUBLE)
    for time, frame in enumerate(frames[:-1]):
        mine.write(time, mine.prepare(frame))
        plain.write(time, frame)
    return mine, plain


def _assert_same(found, expected):
    kept, order = found.scores.sort(dim=1, descending=True)
    scores, other = expected.scores.sort(dim=1, descending=True)
    torch.testing.assert_close(kept, scores, rtol=0, atol=1e-12)
    real = scores > float('-inf')
    cells = found.cells.gather(1, order)[real]
    assert torch.equal(cells, expected.cells.gather(1, other)[real])


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    grid=st.tuples(st.integers(1, 9), st.integers(1, 11)),
    dtype=st.sampled_from([*HALVES, SINGLE, DOUBLE]),
    radius=st.sampled_from([None, 1, 2.5, 4]),
    topk=st.sampled_from([1, 4, 30]),
    ties=st.sampled_from([0.0, 0.1, 1e-3]),
    spare=st.sampled_from([0, 1, 9]),
    most=st.sampled_from([0.0, 0.1, 2.0]),
)
def test_it_is_top_k(seed, grid, dtype, radius, topk, ties, spare, most):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(screened_search, 'SPARE', spare)
        patch.setattr(screened_search, 'MOST_OPEN', most)
        frames = _frames(seed, grid, 6, ties=ties)
        mine, plain = _make(frames, dtype, radius, topk)
        query = frames[-1]
        prepared = mine.prepare(query)
        segments = [Segment(0, 0, 1), Segment(1, 1, 4)]
        latest = mine.in_window(prepared, segments)
        for one, other in zip(latest, plain.in_window(query, segments)):
            _assert_same(one, other)
        first, only = mine.prepare(frames[0]), segments[:1]
        (one,) = mine.in_window(prepared, only, first)
        (other,) = plain.in_window(query, only, frames[0])
        _assert_same(one, other)
        _assert_same(
            mine.anywhere(first, prepared), plain.anywhere(frames[0], query)
        )
        # What the latest frames leave no place for does not matter.
        one = mine.anywhere(first, prepared, latest)
        other = plain.anywhere(frames[0], query)
        floors = torch.stack([each.scores.amin(dim=1) for each in latest])
        floors = floors.amax(dim=0)[:, None]
        found = [
            each._replace(
                scores=each.scores.masked_fill(
                    each.scores < floors, float('-inf')
                )
            )
            for each in (one, other)
        ]
        _assert_same(*found)


@pytest.mark.parametrize('dtype', HALVES)
def test_rounded_products_alone_choose_others(dtype):
    """Else nothing here would show that they are corrected."""
    frames = _frames(0, (8, 9), 6, ties=1e-3)
    mine, plain = _make(frames, dtype)
    segments = [Segment(0, 0, 4)]
    query = mine.prepare(frames[-1])
    (rounded,) = mine.rough.in_window(query.numbers, segments)
    (exact,) = plain.in_window(frames[-1], segments)
    count = mine.rough.topk
    missed = [
        not set(row) <= set(few[:count])
        for row, few in zip(exact.cells.tolist(), rounded.cells.tolist())
    ]
    assert sum(missed) > 36, 'of 72 queries'
    (found,) = mine.in_window(query, segments)
    _assert_same(found, exact)
    assert mine.open == mine.asked > 0


def test_in_float32_it_finds_what_products_in_float32_find():
    frames = _frames(0, (9, 11), 6, channels=64).float()
    segments = [Segment(0, 0, 4)]
    plain = WindowedSearch(frames[0], Window(3), 5, 4, SINGLE)
    for dtype in (HALF, SINGLE):
        directions = None
        if dtype == SINGLE:
            directions = _directions(frames[0].double())
        screen = Screen(frames[0], directions, dtype)
        mine = ScreenedSearch(frames[0], Window(3), 5, 4, screen)
        for time, frame in enumerate(frames[:-1]):
            mine.write(time, mine.prepare(frame))
            plain.write(time, frame)
        (one,) = mine.in_window(mine.prepare(frames[-1]), segments)
        (other,) = plain.in_window(frames[-1], segments)
        torch.testing.assert_close(
            one.scores.sort()[0], other.scores.sort()[0], rtol=0, atol=1e-6
        )


def test_without_a_bound_all_is_compared_by_features():
    frames = _frames(0, (5, 6), 6)
    frames[2, 1, 1] *= 1e4  # out of the range of float16
    mine, plain = _make(frames, torch.float16)
    segments = [Segment(0, 0, 4)]
    query = mine.prepare(frames[-1])
    (one,) = mine.in_window(query, segments)
    (other,) = plain.in_window(frames[-1], segments)
    _assert_same(one, other)


def test_the_share_of_open_queries_is_logged(monkeypatch):
    lines = []
    monkeypatch.setattr(
        screened_search, 'print_log', lambda text, *_: lines.append(text)
    )
    frames = _frames(0, (5, 6), 6)
    mine, _ = _make(frames, HALF)
    mine.log_open()
    assert not lines, 'nothing was asked'
    mine.in_window(mine.prepare(frames[-1]), [Segment(0, 0, 4)])
    assert mine.asked and 0 <= mine.open <= mine.asked
    mine.open = mine.asked / 10
    mine.log_open()
    assert '10.0% of the queries were not certain' in lines[0]


def test_candidates_of_few_cells():
    frames = _frames(0, (1, 2), 2)
    mine, _ = _make(frames, HALF, topk=3)
    found = mine.in_window(mine.prepare(frames[-1]), [Segment(0, 0, 1)])[0]
    assert isinstance(found, Candidates)
    assert (found.scores[:, 2] == float('-inf')).all()


def test_a_gpu_sums_in_float32_meanwhile_only(monkeypatch):
    """The switch is the user's; products are made with it off."""
    switches = torch.backends.cuda.matmul
    before = switches.allow_bf16_reduced_precision_reduction
    seen = []
    frames = _frames(0, (5, 6), 6)
    mine, _ = _make(frames, HALF)
    score_tile = mine.rough.score_tile

    def look(*args):
        seen.append(switches.allow_bf16_reduced_precision_reduction)
        return score_tile(*args)

    monkeypatch.setattr(mine.rough, 'score_tile', look)
    mine.in_window(mine.prepare(frames[-1]), [Segment(0, 0, 4)])
    assert seen and not any(seen)
    assert switches.allow_bf16_reduced_precision_reduction == before


def test_the_switch_is_off_as_long_as_any_thread_is_within():
    switches = torch.backends.cuda.matmul
    name = 'allow_fp16_reduced_precision_reduction'
    before = getattr(switches, name)
    setattr(switches, name, True)
    second_is_in, first_is_out = threading.Event(), threading.Event()
    seen = []

    def second():
        with _sums_in_float32:
            second_is_in.set()
            assert first_is_out.wait(10)
            seen.append(getattr(switches, name))

    thread = threading.Thread(target=second)
    try:
        with _sums_in_float32:
            thread.start()
            assert second_is_in.wait(10)
        first_is_out.set()
        thread.join()
        assert seen == [False]
        assert getattr(switches, name) is True
    finally:
        setattr(switches, name, before)


def test_memory_of_the_fall_back_is_freed():
    frames = _frames(0, (5, 6), 6, ties=1e-9)
    mine, plain = _make(frames, HALF)
    seen = []
    score_tile = mine.full.score_tile

    def look(*given):
        seen.append(1)
        return score_tile(*given)

    mine.full.score_tile = look
    only = [Segment(0, 0, 4)]
    (found,) = mine.in_window(mine.prepare(frames[-1]), only)
    (expected,) = plain.in_window(frames[-1], only)
    assert seen and mine.full._scratch is None
    torch.testing.assert_close(
        found.scores.sort()[0], expected.scores.sort()[0]
    )
