"""The figure: parts lie on their joints, all stay in the frame."""

import numpy as np
import pytest

from hvc_mm.datasets.sample.figure import (
    clothe,
    draw_figure_scene,
    draw_puppet,
)
from hvc_mm.datasets.sample.puppet import ACTIONS, JOINTS, Puppet
from hvc_mm.datasets.sample.renderer import Renderer
from hvc_mm.datasets.sample.staging import stream

SIZE = (120, 160)
# The middle between two joints is what, if nothing is before it.
MIDDLES = {
    ('right elbow', 'right wrist'): 15,
    ('left elbow', 'left wrist'): 14,
    ('right knee', 'right ankle'): 17,
    ('left knee', 'left ankle'): 16,
    ('right hip', 'right knee'): 9,
    ('left hip', 'left knee'): 9,
    ('neck', 'belly'): 5,
    ('face', 'face'): 13,
}


def draw(index):
    return draw_figure_scene(stream(0, 'test', index), 'f', index, 12, SIZE)


@pytest.mark.parametrize('index', range(4))
def test_parts_lie_where_the_joints_say(index, photos):
    scene, puppet = draw(index)
    assert puppet.action == ACTIONS[index]
    renderer = Renderer(scene, SIZE)
    for frame in range(0, 12, 3):
        joints = puppet.joints_in_pixels(scene.moment(frame))
        whole = renderer.silhouettes(frame)
        for (a, b), label in MIDDLES.items():
            x, y = (
                joints[:, JOINTS.index(a)] + joints[:, JOINTS.index(b)]
            ) / 2
            there = whole[:, int(round(y)), int(round(x))]
            labels = {
                actor.label for actor, seen in zip(scene.actors, there) if seen
            }
            assert label in labels


def test_the_right_arm_is_in_front(photos):
    scene, puppet = draw(1)
    renderer = Renderer(scene, SIZE)
    for frame in range(12):
        joints = puppet.joints_in_pixels(scene.moment(frame))
        elbow, wrist = (
            joints[:, JOINTS.index(f'right {name}')]
            for name in ('elbow', 'wrist')
        )
        x, y = np.rint((elbow + wrist) / 2).astype(int)
        assert renderer.ids(frame)[y, x] == 15


@pytest.mark.parametrize('index', range(4))
def test_all_joints_stay_in_the_frame(index, photos):
    scene, puppet = draw(index)
    for frame in range(scene.length):
        joints = puppet.joints_in_pixels(scene.moment(frame))
        assert joints.min() > 0
        assert (joints.max(axis=1) < (SIZE[1] - 1, SIZE[0] - 1)).all()


def test_sizes_follow_the_body(photos):
    """Twice as high: four times the area of every part."""
    areas = []
    for height in (0.4, 0.8):
        puppet = Puppet(
            'wave', np.array([[0.6, 0.5]]), height, 1.0, 0.0, (300, 400)
        )
        scene, _ = draw(1)
        from dataclasses import replace

        scene = replace(scene, actors=clothe(puppet))
        areas.append(
            Renderer(scene, (300, 400)).silhouettes(0).sum(axis=(1, 2))
        )
    # Feet and hair may leave the frame when large.
    ratio = np.median(areas[1] / areas[0])
    assert ratio == pytest.approx(4, rel=0.05)


@pytest.mark.parametrize('size', [(120, 60), (60, 240), (56, 56)])
@pytest.mark.parametrize('action', ACTIONS)
def test_frames_of_any_shape(size, action):
    puppet = draw_puppet(stream(0, 'shape', 0), action, 10, size)
    joints = puppet.joints_in_pixels(0.5)
    assert (joints.max(axis=1) < size[::-1]).all()
