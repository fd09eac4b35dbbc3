"""Moments and labels of scenes."""

import numpy as np

from hvc_mm.datasets.sample.scene import Actor, Backdrop, Scene
from hvc_mm.datasets.sample.trajectories import Trajectory

BACKDROP = Backdrop(
    np.zeros((8, 8, 3), np.uint8), np.array([[0.5, 0.5]]), np.ones(1)
)


def test_moments_run_from_0_to_1():
    scene = Scene('clip', 5, BACKDROP)
    assert [scene.moment(t) for t in range(5)] == [0, 0.25, 0.5, 0.75, 1]
    assert Scene('still', 1, BACKDROP).moment(0) == 0


def test_labels_once_each_without_the_unlabelled(square):
    way = Trajectory(np.array([[0.5, 0.5]]), np.ones(1))
    actors = tuple(Actor(square, way, label) for label in (3, 0, 1, 3))
    assert Scene('clip', 5, BACKDROP, actors).labels == (1, 3)
    assert Scene('clip', 5, BACKDROP).labels == ()
