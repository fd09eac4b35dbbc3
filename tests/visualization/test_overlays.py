"""Masks and joints over a frame, with labels that hide nothing small."""

import numpy as np
import pytest

from hvc_mm.datasets import JOINTS, PARTS, JHMDBDataset, davis_palette
from hvc_mm.visualization import draw_joints, overlay_ids
from hvc_mm.visualization.panels import label_size

H, W = 60, 80
LIMBS = JHMDBDataset.METAINFO['skeleton_links']


@pytest.fixture
def frame():
    return np.random.default_rng(0).integers(0, 256, (H, W, 3), np.uint8)


def covered(text, place, scale=0.35):
    """The rows and columns under a label."""
    height, width = label_size(text, scale)
    top, left = place[1] - height // 2, place[0] - width // 2
    return slice(top, top + height), slice(left, left + width)


def test_colours_are_mixed_contours_pure_and_the_rest_is_the_frame(frame):
    before = frame.copy()
    ids = np.zeros((H, W), np.uint8)
    ids[10:50, 5:40], ids[5:50, 48:78] = 1, 9
    out = overlay_ids(frame, ids, alpha=0.25)
    for object_id, inside, edge in (
        (1, (14, 9), (30, 5)),
        (9, (8, 51), (5, 60)),
    ):
        color = davis_palette()[object_id].astype(float)
        mixed = 0.75 * frame[inside] + 0.25 * color
        assert np.abs(out[inside] - mixed).max() <= 1
        np.testing.assert_array_equal(out[edge], color)
    # Contours are a pixel wide, labels are inside the objects.
    away = np.ones(ids.shape, bool)
    away[8:52, 3:42] = away[3:52, 46:80] = False
    np.testing.assert_array_equal(out[away], frame[away])
    np.testing.assert_array_equal(frame, before)
    with pytest.raises(ValueError, match=r'\(60, 80\).*\(60, 79\)'):
        overlay_ids(frame, ids[:, :-1])


def test_labels_are_ids_or_names_that_hide_no_other(frame, labels):
    y, x = np.mgrid[:H, :W]
    radius = np.hypot(y - 30, x - 40)
    ring = ((radius > 15) & (radius < 25)).astype(np.uint8)
    ring[2:12, 2:12], ring[0, 79] = 9, 3  # 3 is a single pixel
    overlay_ids(frame, ring)
    assert {text for text, _ in labels} == {'1', '3', '9'}
    for text, place in labels:
        hidden = ring[covered(text, place)]
        assert not hidden.any() or (hidden == int(text)).all()
    for names in (('background', 'hat'), ('background', 'hat', '', 'sock')):
        labels.clear()
        overlay_ids(frame, ring, names=names)
        # No room for the sock; 9 has no name.
        assert {text for text, _ in labels} == {'hat', '9'}


def test_limbs_connect_joints_of_one_side():
    names = [(JOINTS[a], JOINTS[b]) for a, b in LIMBS]
    assert ('right elbow', 'right wrist') in names
    assert ('left knee', 'left ankle') in names
    for pair in names:
        assert len({n.split()[0] for n in pair} & {'left', 'right'}) < 2
    # A tree: every joint hangs on the body once.
    assert len(names) == 14 and {n for pair in names for n in pair} == set(
        JOINTS
    )


def test_dots_lines_and_gaps():
    frame = np.full((100, 120, 3), 128, np.uint8)
    joints = np.array([[20, 60, 100], [50, 50, 50.0]])
    limbs = [(0, 1), (1, 2)]
    both = draw_joints(frame, joints, limbs)
    assert (both[50, 20] != 128).any() and (both[50, 80] != 128).any()
    joints[:, 2] = -1
    lost = draw_joints(frame, joints, limbs)
    assert (lost[50, 40] != 128).any() and (lost[:, 70:] == 128).all()
    joints[0, 1] = np.nan
    alone = draw_joints(frame, joints, limbs)
    assert (alone[50, 20] != 128).any() and (alone[:, 30:] == 128).all()
    assert (frame == 128).all()
    colors = {
        tuple(draw_joints(frame, joints[:, :1], [], [name])[50, 20])
        for name in ('left knee', 'right knee', 'neck')
    }
    assert len(colors) == 3
    with pytest.raises(ValueError, match=r'\(15, 2\)'):
        draw_joints(frame, np.zeros((15, 2)))
    with pytest.raises(ValueError, match='beyond the 3'):
        draw_joints(frame, np.zeros((2, 3)), LIMBS)


def test_no_pixel_of_a_small_object_is_hidden():
    """Its colour is the mixed one, or its contour's, wherever it is."""
    frame = np.full((240, 432, 3), 60, np.uint8)
    ids = np.zeros((240, 432), np.uint8)
    ids[60:180, 100:300] = 1
    ids[100:106, 150:158], ids[10:14, 400:404] = 2, 3
    ids[190:194, 50:350] = 4
    out = overlay_ids(frame, ids)
    blank = overlay_ids(frame, ids, names=('',) * 256)
    changed = (out != blank).any(-1)
    assert not changed[ids > 1].any()
    # All four labels are there, that of the large object on it.
    white = (out == 255).all(-1)
    assert white[ids == 1].any() and white[ids == 0].any()
    assert changed[ids == 1].sum() < 0.15 * (ids == 1).sum()


def test_limbs_stay_visible():
    """A body of a trunk and thin parts, as in VIP, with long names."""
    frame = np.full((240, 432, 3), 60, np.uint8)
    ids = np.zeros((240, 432), np.uint8)
    ids[60:140, 190:240] = PARTS.index('upper clothes')
    arm, leg = PARTS.index('left arm'), PARTS.index('right leg')
    ids[65:75, 120:190], ids[140:220, 200:212] = arm, leg
    out = overlay_ids(frame, ids, names=PARTS)
    blank = overlay_ids(frame, ids, names=('',) * 256)
    changed = (out != blank).any(-1)
    assert not changed[(ids == arm) | (ids == leg)].any()
    assert changed[ids == 0].any()
