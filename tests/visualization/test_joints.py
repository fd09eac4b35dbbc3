"""Joints and limbs where they are, nothing for lost ones."""

import numpy as np
import pytest

from hvc_mm.datasets.jhmdb import JOINTS
from hvc_mm.visualization import draw_joints
from hvc_mm.visualization.joints import JHMDB_LIMBS, cells_to_pixels


@pytest.fixture
def frame():
    return np.full((100, 120, 3), 128, np.uint8)


def test_limbs_join_neighbours_of_one_body_half():
    names = [(JOINTS[a], JOINTS[b]) for a, b in JHMDB_LIMBS]
    assert ('right elbow', 'right wrist') in names
    assert ('left knee', 'left ankle') in names
    for a, b in names:
        halves = {n.split()[0] for n in (a, b)} & {'left', 'right'}
        assert len(halves) < 2
    # A tree: every joint hangs on the body once.
    assert len(names) == 14 and {n for pair in names for n in pair} == set(
        JOINTS
    )


def test_dots_lines_and_gaps(frame):
    joints = np.array([[20, 60, 100], [50, 50, 50.0]])
    both = draw_joints(frame, joints, limbs=[(0, 1), (1, 2)], names=[])
    assert (both[50, 20] != 128).any() and (both[50, 80] != 128).any()
    joints[0, 2] = -1
    lost = draw_joints(frame, joints, limbs=[(0, 1), (1, 2)], names=[])
    assert (lost[50, 40] != 128).any()
    assert (lost[:, 70:] == 128).all()
    joints[0, 1] = np.nan
    alone = draw_joints(frame, joints, limbs=[(0, 1), (1, 2)], names=[])
    assert (alone[50, 20] != 128).any() and (alone[:, 30:] == 128).all()
    assert (frame == 128).all()


def test_left_and_right_differ(frame):
    point = np.array([[50], [50.0]])
    colors = {
        name: tuple(draw_joints(frame, point, [], [name])[50, 50])
        for name in ('left knee', 'right knee', 'neck')
    }
    assert len(set(colors.values())) == 3


def test_cells_to_pixels():
    cells = np.array([[0, 20, -1], [0, 10, -1.0]])
    pixels = cells_to_pixels(cells, (40, 40), (240, 320))
    np.testing.assert_array_equal(pixels, [[0, 160, -1], [0, 60, -1]])


def test_errors(frame):
    with pytest.raises(ValueError, match=r'\(15, 2\)'):
        draw_joints(frame, np.zeros((15, 2)))
    with pytest.raises(ValueError, match='beyond the 3'):
        draw_joints(frame, np.zeros((2, 3)))
