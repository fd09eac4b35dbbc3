"""Joints to maps and back, against the formula written out."""

import math

import numpy as np
import pytest
import torch

from hvc_mm.models.vos.codecs import JointCodec
from hvc_mm.structures import VOSDataSample


def _sample(joints, size=(80, 160)):
    sample = VOSDataSample(metainfo=dict(video='v', ori_shape=size))
    sample.prompt_joints = torch.as_tensor(joints, dtype=torch.float64)
    return sample


def _pixels(cells, grid=(40, 40), size=(80, 160)):
    """Pixels of joints ``(2, J)`` that are given in cells."""
    scale = np.array([[size[1] / grid[1]], [size[0] / grid[0]]])
    return np.asarray(cells, dtype=float) * scale


def _patch(column, row, grid):
    """One map by loops: the patch's third cell is its peak."""
    found = np.zeros(grid)
    left, top = int(column - 1.5), int(row - 1.5)
    for y in range(max(top, 0), min(int(row + 2.5), grid[0])):
        for x in range(max(left, 0), min(int(column + 2.5), grid[1])):
            d2 = (x - left - 2) ** 2 + (y - top - 2) ** 2
            found[y, x] = math.exp(-2 * d2)
    return found


def test_a_joint_inside_is_a_4x4_patch_about_its_third_cell():
    # int(10.7 - 1.5) = 9 and int(20.2 - 1.5) = 18.
    planes = JointCodec().encode(_sample(_pixels([[10.7], [20.2]])), (40, 40))
    assert planes.shape == (1, 2, 40, 40) and planes.dtype == torch.float32
    joint = planes[0, 1]
    rows, columns = torch.nonzero(joint, as_tuple=True)
    assert (rows.min(), rows.max()) == (18, 21)
    assert (columns.min(), columns.max()) == (9, 12)
    assert joint[20, 11] == 1
    assert joint[20, 10] == pytest.approx(math.exp(-2))
    assert joint[18, 9] == pytest.approx(math.exp(-16), rel=1e-5)
    assert torch.equal(planes[0, 0], (joint == 0).float())
    flat = JointCodec(sharpness=0.5)
    joint = flat.encode(_sample(_pixels([[10.7], [20.2]])), (40, 40))[0, 1]
    assert joint[18, 9] == pytest.approx(math.exp(-4), rel=1e-5)


@pytest.mark.parametrize('grid', [(40, 40), (5, 9)])
def test_maps_are_the_formula_everywhere(grid):
    rng = np.random.default_rng(0)
    cells = rng.uniform(-4, 44, (2, 60))
    size = (240, 320)
    sample = _sample(_pixels(cells, grid, size), size)
    planes = JointCodec().encode(sample, grid)[0]
    expected = np.stack([_patch(x, y, grid) for x, y in cells.T])
    np.testing.assert_allclose(planes[1:], expected, atol=1e-7)
    background = (expected.sum(0) == 0).astype(float)
    np.testing.assert_array_equal(planes[0], background)
    # Some lie so far out that nothing is drawn.
    assert (planes[1:].flatten(1).sum(1) == 0).any()


def test_frames_without_joints_give_nothing():
    sample = VOSDataSample(metainfo=dict(ori_shape=(80, 160)))
    assert JointCodec().encode(sample, (40, 40)) is None


def test_decoding_is_the_weighted_mean_of_three_cells():
    maps = torch.zeros(1, 4, 6, 8)
    maps[0, 1, 2, 3], maps[0, 1, 2, 4], maps[0, 1, 5, 3] = 0.6, 0.3, 0.1
    maps[0, 1, 0, 0] = 0.05  # the fourth: left out
    maps[0, 2, 4, 7] = 0.2
    sample = VOSDataSample(metainfo=dict(ori_shape=(80, 160)))
    JointCodec().decode(maps, sample)
    assert sample.pred_joints.dtype == torch.float64
    # A cell is 20 pixels wide and 13 1/3 high.
    expected = [[66.0, 140.0, -1.0], [2.3 * 80 / 6, 4 * 80 / 6, -1.0]]
    np.testing.assert_allclose(sample.pred_joints, expected, rtol=1e-6)


def test_a_joint_comes_back_within_its_cell():
    cells = np.random.default_rng(1).uniform(3, 36, (2, 15))
    sample = _sample(_pixels(cells))
    codec = JointCodec()
    codec.decode(codec.encode(sample, (40, 40)), sample)
    assert sample.pred_joints.shape == (2, 15)
    away = sample.pred_joints.numpy() - _pixels(cells)
    assert np.abs(away / [[4], [2]]).max() < 1.1
    codec.reset()


def test_no_labels_and_no_cells_are_refused():
    sample = VOSDataSample(metainfo=dict(video='v', frame_name='00001'))
    with pytest.raises(ValueError, match='video v, frame 00001: no joints'):
        JointCodec().decode(None, sample)
    with pytest.raises(ValueError, match='topk'):
        JointCodec(topk=0)
