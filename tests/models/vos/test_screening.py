import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from hvc_mm.models.vos import screening
from hvc_mm.models.vos.screening import (
    Screen,
    has_fast_bfloat16,
    leading_directions,
    make_screen,
)

GRID, CHANNELS = (6, 7), 40


def _frames(seed, rank=5, scale=1.0, dtype=torch.float32):
    """Unit features of two frames that vary in few directions, nearly."""
    size = {'generator': torch.Generator().manual_seed(seed)}
    basis = torch.randn(rank, CHANNELS, **size)
    frames = torch.randn(2, *GRID, rank, **size) @ basis
    frames += 0.3 * torch.randn(2, *GRID, CHANNELS, **size)
    return scale * F.normalize(frames.to(dtype), dim=-1)


@pytest.fixture
def any_size(monkeypatch):
    monkeypatch.setattr(screening, 'LEAST_CELLS', 1)
    monkeypatch.setattr(screening, 'LEAST_CHANNELS', 1)


def _lowest(screen, frames):
    """Measure how far products are below scores, as they are computed."""
    numbers = [screen.prepare(frame).flatten(0, 1) for frame in frames]
    try:
        products = (numbers[0] @ numbers[1].t()).double()
    except RuntimeError as error:  # of an old torch
        pytest.skip(f'no products in {screen.dtype} here: {error}')
    rows = [frame.flatten(0, 1) for frame in frames]
    exact = rows[0].double() @ rows[1].double().t()
    computed = (rows[0] @ rows[1].t()).double()
    return float((torch.maximum(exact, computed) - products).max()), products


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    scale=st.sampled_from([1e-3, 1.0, 30.0]),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    turned=st.booleans(),
)
def test_no_score_exceeds_the_bound(seed, scale, dtype, turned):
    frames = _frames(seed, scale=scale)
    directions = None
    if turned:
        moments = frames[0].flatten(0, 1).double()
        _, directions = torch.linalg.eigh(moments.t() @ moments)
        directions = directions[:, -8:].contiguous()
    screen = Screen(frames[0], directions, dtype)
    below, _ = _lowest(screen, frames)
    assert below <= screen.slack
    # And it is no wider than the type asks for.
    unit = torch.finfo(dtype).eps
    assert (
        screen.slack
        < (4 * unit + 2e-4 * (dtype != torch.float32)) * (scale**2)
        + 1e-4 * (scale < 1)
        + 1e-4 * scale**2
    )


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_the_bound_holds_where_all_is_rounded_down(dtype):
    """Half a unit, or nearly, is lost in every channel of both frames."""
    value = 1 + 0.49 * torch.finfo(dtype).eps
    frames = torch.full((2, *GRID, CHANNELS), value * 2.0**-3)
    screen = Screen(frames[0], None, dtype)
    below, _ = _lowest(screen, frames)
    assert 0.5 * screen.slack < below <= screen.slack


def test_the_bound_of_leading_directions_is_a_close_one(any_size):
    frames = _frames(0)
    screen = Screen(
        frames[0], leading_directions(frames[0], 11), torch.float32
    )
    _, products = _lowest(screen, frames)
    rows = frames.double().flatten(1, 2)
    excess = products - rows[0] @ rows[1].t()
    assert screen.slack < 1e-4
    assert -screen.slack < excess.min() and excess.mean() < 0.1


@pytest.mark.parametrize('value', [math.nan, math.inf, 1e4])
def test_without_a_bound_the_slack_is_infinite(value):
    frames = _frames(0)
    screen = Screen(frames[0], None, torch.float16)
    screen.prepare(frames[0])
    assert screen.slack < 0.01
    frames[1, 2, 3] = value
    screen.prepare(frames[1])
    assert screen.slack == math.inf
    screen.prepare(frames[0])
    assert screen.slack == math.inf, 'the frame may still be in the ring'


def test_a_frame_is_turned_once_and_never_mixed_up(any_size):
    frames = _frames(0)
    screen = make_screen(frames[0], None)
    first = screen.prepare(frames[0])
    assert screen.prepare(frames[0].clone()) is first
    expected = Screen(frames[0], screen.directions, torch.float32)
    frames[0] = frames[1]  # its memory is used again
    assert torch.equal(screen.prepare(frames[0]), expected.prepare(frames[1]))


def test_directions_are_taken_where_they_pay(monkeypatch):
    few, noise = _frames(0)[0], _frames(0, rank=300)[0]
    broken = few.clone()
    broken[1, 1] = math.nan
    assert leading_directions(few, 11) is None, 'few cells and channels'
    monkeypatch.setattr(screening, 'LEAST_CELLS', 1)
    assert leading_directions(few, 11) is None, 'few channels'
    monkeypatch.setattr(screening, 'LEAST_CHANNELS', CHANNELS)
    assert leading_directions(noise, 11) is None
    assert leading_directions(broken, 11) is None
    found = leading_directions(few, 11)
    assert found.shape == (CHANNELS, 11)
    identity = torch.eye(11, dtype=torch.float64)
    torch.testing.assert_close(found.t() @ found, identity)


@pytest.mark.parametrize('fast', [False, True])
def test_what_screens(any_size, monkeypatch, fast):
    monkeypatch.setattr(screening, 'has_fast_bfloat16', lambda device: fast)
    few, noise = _frames(0)[0], _frames(0, rank=300)[0]

    def made(frame, dtype):
        screen = make_screen(frame, dtype)
        if screen is None:
            return None
        return screen.directions is not None, screen.dtype

    single, double, half = torch.float32, torch.float64, torch.bfloat16
    for dtype in None, 'auto', single:
        assert made(few, dtype) == (True, single)
    assert made(few, half) == (False, half)
    assert made(few, double) is None
    assert made(noise, None) is None
    assert made(noise, 'auto') == ((False, half) if fast else None)
    assert made(noise.double(), 'auto') is None
    assert made(few.double(), None) == (True, double)


def test_only_devices_that_were_asked_are_fast():
    assert not has_fast_bfloat16(torch.device('meta'))
    assert has_fast_bfloat16(torch.device('cpu')) in (True, False)
