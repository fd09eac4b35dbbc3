"""Id masks as runs, and what a browser may not send."""

import numpy as np
import pytest

from hvc_mm.web.canvas import decode_runs, encode_runs, read_canvas

SIZE = (5, 7)


@pytest.mark.parametrize('objects', [1, 2, 200, 254])
def test_runs_are_the_mask(objects):
    rng = np.random.default_rng(objects)
    ids = rng.integers(0, objects + 1, SIZE, np.uint8)
    runs = encode_runs(ids)
    np.testing.assert_array_equal(decode_runs(runs, SIZE), ids)
    assert min(runs[1::2]) >= 1
    assert all(a != b for a, b in zip(runs[::2], runs[2::2]))
    assert encode_runs(np.full(SIZE, 3, np.uint8)) == [3, 35]


@pytest.fixture
def value():
    return dict(
        frame=2,
        size=[5, 7],
        runs=[0, 30, 4, 5],
        objects=[dict(id=1, name='a'), dict(id=4, name='b' * 99)],
        edited=True,
        locked=False,
    )


def test_what_a_browser_says(value):
    painted = read_canvas(value, SIZE)
    assert (painted.index, painted.edited) == (2, True)
    assert painted.names == {1: 'a', 4: 'b' * 40}
    assert (painted.ids[4, 2:] == 4).all() and painted.ids.sum() == 20


@pytest.mark.parametrize(
    'changes',
    [
        dict(runs=[0, 34]),
        dict(runs=[0, 30, 4]),
        dict(runs=[0, 36, 4, -1]),
        dict(runs=[0, 30, 300, 5]),
        dict(runs=[0, 30, -1, 5]),
        dict(runs=[0, 2**63 - 1, 4, 2**63 - 1]),
        dict(runs=[0, 2**70]),
        dict(runs=[]),
        dict(runs=None),
        dict(runs='runs'),
        dict(runs=[0, 30, 3, 5]),
        dict(objects=[dict(id=0, name='a'), dict(id=4, name='b')]),
        dict(objects=[dict(id=4)]),
        dict(objects=4),
        dict(frame='first'),
    ],
)
def test_what_makes_no_sense(value, changes):
    with pytest.raises(ValueError):
        read_canvas({**value, **changes}, SIZE)
    with pytest.raises(ValueError, match='cannot be read'):
        read_canvas([], SIZE)
