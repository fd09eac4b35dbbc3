"""Rendering: exact places for simple cut-outs, masks of what is seen."""

import math

import numpy as np
import pytest

from hvc_mm.datasets.sample.renderer import (
    Renderer,
    render_backdrop,
    sample_cut_out,
)
from hvc_mm.datasets.sample.scene import Actor, Backdrop, Scene
from hvc_mm.datasets.sample.staging import draw_scene, stream
from hvc_mm.datasets.sample.trajectories import Pose, Trajectory

SIZE = (64, 64)


def grey(value=100, size=SIZE):
    return Backdrop(
        np.full((*size, 3), value, np.uint8),
        np.array([[0.5, 0.5]]),
        np.ones(1),
    )


def still(x, y, pixels, **kwargs):
    """A motion that stays; `pixels` is the side of a square in SIZE."""
    return Trajectory(
        np.array([[x, y]]), np.array([pixels / SIZE[0]]), **kwargs
    )


def scene_of(*actors, length=1):
    return Scene('clip', length, grey(), tuple(actors))


def test_a_square_lies_exactly_where_it_should(square):
    """16 pixels about the centre of 64: rows and columns 24 to 39."""
    renderer = Renderer(scene_of(Actor(square, still(0.5, 0.5, 16), 7)), SIZE)
    image, ids = renderer.render(0)
    expected = np.zeros(SIZE, np.uint8)
    expected[24:40, 24:40] = 7
    assert np.array_equal(ids, expected)
    assert np.array_equal(
        image[24:40, 24:32], np.full((16, 8, 3), (200, 0, 0))
    )
    assert np.array_equal(
        image[24:40, 32:40], np.full((16, 8, 3), (0, 0, 200))
    )
    image[24:40, 24:40] = 100
    assert (image == 100).all()


@pytest.mark.parametrize('pixels', [8, 16, 32])
def test_scale_is_the_root_of_the_area(square, pixels):
    renderer = Renderer(
        scene_of(Actor(square, still(0.5, 0.5, pixels), 1)), SIZE
    )
    assert renderer.ids(0).sum() == pixels**2


def test_a_quarter_turn_clockwise(square):
    """What was on the left is on top."""
    box, colours, alpha = sample_cut_out(
        square, Pose(0.5, 0.5, 16 / 64, angle=math.pi / 2), SIZE
    )
    image = np.zeros((*SIZE, 3))
    image[box] = colours * (alpha >= 0.5)[..., None]
    assert (image[26:30, 26:38] == (200, 0, 0)).all()
    assert (image[34:38, 26:38] == (0, 0, 200)).all()


@pytest.mark.parametrize('x, y', [(0.0, 0.5), (1.0, 1.0), (0.5, -0.05)])
def test_cut_at_the_border(square, x, y):
    renderer = Renderer(scene_of(Actor(square, still(x, y, 16), 1)), SIZE)
    rows, columns = np.mgrid[:64, :64]
    expected = (abs(columns - (x * 64 - 0.5)) < 8) & (
        abs(rows - (y * 64 - 0.5)) < 8
    )
    assert np.array_equal(renderer.ids(0) == 1, expected)


@pytest.mark.parametrize('x, y', [(-1, 0.5), (0.5, 3), (5, 5)])
def test_outside_the_frame(square, x, y):
    renderer = Renderer(scene_of(Actor(square, still(x, y, 16), 1)), SIZE)
    image, ids = renderer.render(0)
    assert not ids.any() and (image == 100).all()


def test_the_front_one_covers(square):
    back = Actor(square, still(0.45, 0.5, 16), 1)
    front = Actor(square, still(0.55, 0.5, 16), 2)
    renderer = Renderer(scene_of(back, front), SIZE)
    ids = renderer.ids(0)
    whole = renderer.silhouettes(0)
    assert np.array_equal(ids == 2, whole[1])
    assert np.array_equal(ids == 1, whole[0] & ~whole[1])
    assert (whole[0] & whole[1]).any()


def test_the_unlabelled_covers_too(square):
    back = Actor(square, still(0.45, 0.5, 16), 1)
    front = Actor(square, still(0.55, 0.5, 16), 0)
    renderer = Renderer(scene_of(back, front), SIZE)
    image, ids = renderer.render(0)
    whole = renderer.silhouettes(0)
    assert not ids[whole[1]].any()
    assert not (image[whole[1]] == 100).all()


def test_a_newcomer_is_not_there_before(square):
    actor = Actor(square, still(0.5, 0.5, 16), 1, enters=2)
    renderer = Renderer(scene_of(actor, length=4), SIZE)
    present = [bool(renderer.ids(t).any()) for t in range(4)]
    assert present == [False, False, True, True]
    shown = [bool((renderer.render(t)[0] != 100).any()) for t in range(4)]
    assert shown == present
    assert not renderer.silhouettes(1).any()


def test_bending_moves_pixels_but_keeps_the_size(square):
    plain = Renderer(scene_of(Actor(square, still(0.5, 0.5, 32), 1)), SIZE)
    bent = Renderer(
        scene_of(Actor(square, still(0.5, 0.5, 32, bend=0.05), 1)), SIZE
    )
    a, b = plain.ids(0) > 0, bent.ids(0) > 0
    assert (a != b).sum() > 40
    assert b.sum() == pytest.approx(a.sum(), rel=0.05)


def test_backdrop_as_large_as_the_frame_is_itself():
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    backdrop = Backdrop(photo, np.array([[0.3, 0.8]]), np.ones(1))
    assert np.array_equal(render_backdrop(backdrop, 0.4, (20, 30)), photo)


def test_backdrop_pans_from_end_to_end():
    photo = np.zeros((10, 40, 3), np.uint8)
    photo[:, :, 0] = np.arange(40)
    backdrop = Backdrop(photo, np.array([[0, 0.5], [1, 0.5]]), np.ones(1))
    first = render_backdrop(backdrop, 0, (10, 10))
    last = render_backdrop(backdrop, 1, (10, 10))
    assert np.array_equal(first[0, :, 0], np.arange(10))
    assert np.array_equal(last[0, :, 0], np.arange(30, 40))


@pytest.fixture(scope='module')
def drawn(photos):
    return draw_scene(stream(5, 'test', 0), 'clip', 12, (72, 128), 3, late=4)


def test_masks_are_the_silhouettes_painted_back_to_front(drawn):
    renderer = Renderer(drawn, (72, 128))
    for frame in range(drawn.length):
        expected = np.zeros((72, 128), np.uint8)
        for actor, whole in zip(drawn.actors, renderer.silhouettes(frame)):
            expected[whole] = actor.label
        image, ids = renderer.render(frame)
        assert np.array_equal(ids, expected)
        assert np.array_equal(renderer.ids(frame), expected)
        assert image.dtype == np.uint8 and image.shape == (72, 128, 3)


def test_the_same_scene_at_any_resolution(drawn):
    small = Renderer(drawn, (72, 128)).ids(7)
    large = Renderer(drawn, (216, 384)).ids(7)[1::3, 1::3]
    for label in drawn.labels:
        a, b = small == label, large == label
        assert (a & b).sum() / (a | b).sum() > 0.9


def test_frames_move_and_repeat_exactly(drawn):
    renderer = Renderer(drawn, (72, 128))
    first, _ = renderer.render(3)
    again, _ = Renderer(drawn, (72, 128)).render(3)
    other, _ = renderer.render(4)
    assert np.array_equal(first, again)
    assert np.abs(first.astype(int) - other).mean() > 2
