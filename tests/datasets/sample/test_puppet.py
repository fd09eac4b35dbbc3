"""The body: lengths that stay, sides that agree, smooth motion."""

import numpy as np
import pytest

from hvc_mm.datasets.sample.puppet import (
    ACTIONS,
    FACE_ABOVE_NECK,
    FOREARM,
    JOINTS,
    SHIN,
    THIGH,
    TORSO,
    UPPER_ARM,
    Posture,
    Puppet,
    joints_of,
)

BONES = {
    ('neck', 'belly'): TORSO,
    ('neck', 'face'): FACE_ABOVE_NECK,
    ('right shoulder', 'right elbow'): UPPER_ARM,
    ('left shoulder', 'left elbow'): UPPER_ARM,
    ('right elbow', 'right wrist'): FOREARM,
    ('left elbow', 'left wrist'): FOREARM,
    ('right hip', 'right knee'): THIGH,
    ('left hip', 'left knee'): THIGH,
    ('right knee', 'right ankle'): SHIN,
    ('left knee', 'left ankle'): SHIN,
}


def puppet_of(action, **kwargs):
    settings = dict(
        waypoints=np.array([[0.5, 0.4], [0.9, 0.5]]),
        height=0.6,
        cycles=1.5,
        start=0.1,
        size=(240, 320),
    )
    return Puppet(action, **{**settings, **kwargs})


def at(joints, name):
    return joints[:, JOINTS.index(name)]


def test_order_is_that_of_our_jhmdb_data_set():
    from hvc_mm.datasets.jhmdb import JOINTS as expected

    assert JOINTS == tuple(expected)


@pytest.mark.parametrize('action', ACTIONS)
def test_bones_keep_their_length(action):
    puppet = puppet_of(action)
    for u in np.linspace(0, 1, 9):
        joints = puppet.joints(u)
        assert joints.shape == (2, 15)
        for (a, b), length in BONES.items():
            bone = np.linalg.norm(at(joints, a) - at(joints, b))
            assert bone == pytest.approx(0.6 * length)


def test_standing_straight():
    """Arms and legs hang: mirrored sides, feet below, face above."""
    nothing = (0.0, 0.0)
    joints = joints_of(Posture(0, 0, nothing, nothing, nothing, nothing))
    assert np.allclose(at(joints, 'belly'), 0)
    assert np.allclose(at(joints, 'neck'), (0, -TORSO))
    assert np.allclose(at(joints, 'face'), (0, -TORSO - FACE_ABOVE_NECK))
    for name in ('shoulder', 'elbow', 'wrist', 'hip', 'knee', 'ankle'):
        right, left = at(joints, f'right {name}'), at(joints, f'left {name}')
        assert np.allclose(right, left * (-1, 1))
        # Seen from the front, the body's right is on the left.
        assert right[0] < 0 < left[0]
    assert at(joints, 'left ankle')[1] > at(joints, 'left knee')[1] > 0


def test_lean_turns_the_whole_trunk():
    nothing = (0.0, 0.0)
    joints = joints_of(Posture(0.3, 0, nothing, nothing, nothing, nothing))
    spine = at(joints, 'belly') - at(joints, 'neck')
    across = at(joints, 'left shoulder') - at(joints, 'right shoulder')
    assert spine @ across == pytest.approx(0, abs=1e-12)
    assert spine[0] > 0 < across[0]


@pytest.mark.parametrize('action', ACTIONS)
def test_every_action_moves_limbs_smoothly(action):
    puppet = puppet_of(action, waypoints=np.array([[0.5, 0.4]]))
    track = np.stack([puppet.joints(u) for u in np.linspace(0, 1, 200)])
    assert np.abs(np.diff(track, axis=0)).max() < 0.02
    assert (np.ptp(track, axis=0).max(axis=0) > 0.1).any()


def test_pixels_are_isotropic():
    """One length is as many pixels along x as along y."""
    puppet = puppet_of('walk', size=(100, 400))
    joints, pixels = puppet.joints(0.3), puppet.joints_in_pixels(0.3)
    assert np.allclose((pixels + 0.5) / joints, 200)


def test_unknown_action():
    with pytest.raises(ValueError, match='no action .swim'):
        puppet_of('swim')
