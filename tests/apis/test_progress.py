"""The bar shows what it promises and hands everything on."""

import io

import pytest
from rich.console import Console

from hvc_mm.apis.progress import track_frames


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=100, force_terminal=True)


def test_bar_names_rate_count_and_time_left(console):
    frames = track_frames(iter('abc'), 3, 'bear', console=console)
    assert list(frames) == ['a', 'b', 'c']
    text = console.file.getvalue()
    for part in ('bear', '3/3', 'frames/s', 'left', '0:00:00'):
        assert part in text


def test_unknown_length(console):
    frames = track_frames((c for c in 'abc'), None, console=console)
    assert list(frames) == ['a', 'b', 'c']
    assert '3/?' in console.file.getvalue()


def test_silence(console):
    frames = track_frames(iter('ab'), 2, show=False, console=console)
    assert list(frames) == ['a', 'b']
    assert console.file.getvalue() == ''


def test_an_error_inside_comes_out(console):
    def broken():
        yield 1
        raise OSError('frame 1')

    with pytest.raises(OSError, match='frame 1'):
        list(track_frames(broken(), 2, console=console))
