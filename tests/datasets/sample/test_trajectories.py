"""Paths pass their waypoints smoothly; poses follow them."""

import numpy as np
import pytest

from hvc_mm.datasets.sample.trajectories import Trajectory, smooth_path

POINTS = np.array([[0.0, 0.0], [1.0, 0.5], [0.5, 1.0], [0.2, 0.2]])


def test_passes_every_waypoint():
    for index, point in enumerate(POINTS):
        assert np.allclose(smooth_path(POINTS, index / 3), point)


def test_two_points_give_a_straight_even_way():
    ends = np.array([[0.0, 1.0], [1.0, 3.0]])
    for u in np.linspace(0, 1, 7):
        assert np.allclose(smooth_path(ends, u), (u, 1 + 2 * u))


def test_smooth_in_first_order():
    """No kink at a waypoint: the slopes from both sides agree."""
    step = 1e-5
    for joint in (1 / 3, 2 / 3):
        before = smooth_path(POINTS, joint) - smooth_path(POINTS, joint - step)
        after = smooth_path(POINTS, joint + step) - smooth_path(POINTS, joint)
        assert np.allclose(before / step, after / step, atol=1e-2)


def test_one_point_and_moments_out_of_range():
    assert np.array_equal(smooth_path(POINTS[:1], 0.7), POINTS[0])
    assert np.allclose(smooth_path(POINTS, -1), POINTS[0])
    assert np.allclose(smooth_path(POINTS, 2), POINTS[-1])


def test_pose():
    way = Trajectory(
        POINTS,
        np.array([0.2, 0.4]),
        angle=0.1,
        swing=0.5,
        swings=1.0,
        bend=0.02,
        waves=2.0,
    )
    start, quarter, end = (way.pose(u) for u in (0, 0.25, 1))
    assert (start.x, start.y) == (0, 0)
    assert start.scale == pytest.approx(0.2)
    assert end.scale == pytest.approx(0.4)
    assert start.angle == pytest.approx(0.1)
    # A quarter of the way through one swing it is turned furthest.
    assert quarter.angle == pytest.approx(0.6)
    assert quarter.phase == pytest.approx(0.5)
    assert end.bend == 0.02
