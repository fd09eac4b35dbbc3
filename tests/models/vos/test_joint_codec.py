"""Joints as bumps and back, against the formula written out."""

import math

import numpy as np
import pytest
import torch

from hvc_mm.models.vos import JointCodec
from hvc_mm.structures import VOSDataSample


def _sample(size=(8, 12)):
    return VOSDataSample(
        metainfo=dict(video='bear', frame_name='00007', ori_shape=size)
    )


def _joint_sample(cells, grid=(40, 40), size=(80, 160)):
    """A sample whose joints ``(2, J)`` are given in cells."""
    sample = _sample(size)
    sample.prompt_joints = torch.from_numpy(_pixels(cells, grid, size))
    return sample


def _pixels(cells, grid=(40, 40), size=(80, 160)):
    scale = np.array([[size[1] / grid[1]], [size[0] / grid[0]]])
    return np.asarray(cells, dtype=float) * scale


def _bump(column, row, grid):
    """One channel by loops: the patch's third cell is its peak."""
    found = np.zeros(grid)
    left, top = int(column - 1.5), int(row - 1.5)
    for y in range(max(top, 0), min(int(row + 2.5), grid[0])):
        for x in range(max(left, 0), min(int(column + 2.5), grid[1])):
            d2 = (x - left - 2) ** 2 + (y - top - 2) ** 2
            found[y, x] = math.exp(-2 * d2)
    return found


@pytest.mark.parametrize('grid', [(40, 40), (5, 9)])
def test_bumps_are_the_formula_everywhere(grid):
    cells = np.random.default_rng(0).uniform(-4, 44, (2, 60))
    # int(10.7 - 1.5) = 9 and int(20.2 - 1.5) = 18.
    cells[:, 0] = 10.7, 20.2
    sample = _joint_sample(cells, grid, (240, 320))
    labels = JointCodec().encode(sample, grid)
    assert labels.shape == (1, 61, *grid) and labels.dtype == torch.float32
    expected = np.stack([_bump(x, y, grid) for x, y in cells.T])
    np.testing.assert_allclose(labels[0, 1:], expected, atol=1e-7)
    background = (expected.sum(0) == 0).astype(float)
    np.testing.assert_array_equal(labels[0, 0], background)
    # Some are so far out that nothing is drawn.
    assert (labels[0, 1:].flatten(1).sum(1) == 0).any()
    flat = JointCodec(sharpness=0.5).encode(sample, grid)[0, 1:]
    np.testing.assert_allclose(flat, expected**0.25, atol=1e-6)
    if grid == (40, 40):
        rows, columns = torch.nonzero(labels[0, 1], as_tuple=True)
        assert (rows.min(), rows.max()) == (18, 21)
        assert (columns.min(), columns.max()) == (9, 12)
        assert labels[0, 1, 20, 11] == 1


def test_joints_are_the_weighted_mean_of_three_cells_in_pixels():
    bumps = torch.zeros(1, 4, 6, 8)
    bumps[0, 1, 2, 3], bumps[0, 1, 2, 4], bumps[0, 1, 5, 3] = 0.6, 0.3, 0.1
    bumps[0, 1, 0, 0] = 0.05  # the fourth: left out
    bumps[0, 2, 4, 7] = 0.2
    sample = _sample((80, 160))
    assert torch.equal(JointCodec().decode(bumps, sample), bumps[0])
    assert sample.pred_joints.dtype == torch.float64
    # A cell is 20 pixels wide and 13 1/3 high.
    expected = [[66.0, 140.0, -1.0], [2.3 * 80 / 6, 4 * 80 / 6, -1.0]]
    np.testing.assert_allclose(sample.pred_joints, expected, rtol=1e-6)


@pytest.mark.parametrize('grid', [(40, 40), (20, 20), (30, 54)])
def test_a_joint_comes_back_within_its_cell_at_any_stride(grid):
    cells = np.random.default_rng(1).uniform(3, 16, (2, 15))
    sample, codec = _joint_sample(cells, grid), JointCodec()
    codec.decode(codec.encode(sample, grid), sample)
    away = sample.pred_joints.numpy() - _pixels(cells, grid)
    assert np.abs(away / [[160 / grid[1]], [80 / grid[0]]]).max() < 1.1
    codec.reset()


def test_joints_that_are_not_given():
    codec, sample = JointCodec(), _sample()
    assert codec.encode(sample, (40, 40)) is None
    with pytest.raises(ValueError, match='video bear, frame 00007: no joints'):
        codec.decode(None, sample)
    with pytest.raises(ValueError, match='topk'):
        JointCodec(topk=0)
    assert JointCodec(topk=1).topk == 1


def test_labels_that_are_not_numbers_are_refused():
    sample = VOSDataSample()
    sample.set_metainfo(dict(ori_shape=(8, 8), video='v', frame_name='3'))
    labels = torch.rand(1, 3, 4, 4)
    JointCodec().decode(labels, sample)
    labels[0, 2, 1, 1] = float('nan')
    with pytest.raises(ValueError, match='video v, frame 3: .*not numbers'):
        JointCodec().decode(labels, sample)
