"""Crops and matched cells are drawn where they are."""

import numpy as np
import torch
import torch.nn.functional as F

from hvc_mm.models.losses import find_positive_pairs
from hvc_mm.visualization import draw_crops, draw_matches, nearest_cells
from hvc_mm.visualization.paired_views import (
    VIEW_COLORS,
    evenly,
    match_distance,
)

GRID = (4, 4)


def test_boxes_lie_on_the_image():
    image = np.zeros((101, 201, 3), np.uint8)
    boxes = [np.array([0.1, 0.2, 0.5, 0.6]), np.array([0.3, 0.4, 0.9, 1.0])]
    out = draw_crops(image, boxes)
    for point, color in (
        ((20, 20), VIEW_COLORS[0]),
        ((60, 100), VIEW_COLORS[0]),
        ((40, 120), VIEW_COLORS[1]),
    ):
        assert tuple(out[point]) == color
    assert not out[:15].any() and not image.any()


def test_lines_end_in_their_cells():
    views = [np.zeros((64, 64, 3), np.uint8)] * 2
    out = draw_matches(*views, [0, 15], [5, 15], GRID, right=[True, False])
    assert out.shape == (64, 64 + 16 + 64, 3)
    green, red = (64, 224, 64), (240, 48, 48)
    # Cell 0 has its centre at 8, cell 5 at 24, cell 15 at 56.
    assert tuple(out[8, 8]) == green and tuple(out[24, 80 + 24]) == green
    assert tuple(out[56, 56]) == red and tuple(out[56, 80 + 56]) == red
    # The line between, softened at its rims.
    assert np.abs(out[56, 100] - np.array(red)).max() < 40
    assert not out[40:50, :64].any()


def test_nearest_cells_find_a_permutation():
    torch.manual_seed(0)
    query = F.normalize(torch.randn(32, *GRID), dim=0)
    order = torch.randperm(16)
    key = query.flatten(1)[:, order].reshape(32, *GRID)
    cells = torch.tensor([3, 0, 9])
    found = nearest_cells(query, key, cells)
    assert torch.equal(order[found], cells)


def test_distance_is_that_of_the_loss():
    torch.manual_seed(0)
    boxes = torch.tensor([[0.1, 0.2, 0.7, 0.9], [0.2, 0.1, 0.8, 0.8]])
    pairs = find_positive_pairs(boxes[:1], boxes[1:], (8, 8), 0.7)
    cells = torch.cartesian_prod(torch.arange(64), torch.arange(64))
    distance = match_distance(*cells.T, *boxes, (8, 8))
    near = {tuple(c) for c in cells[distance < 0.7].tolist()}
    listed = set(zip(pairs.query.tolist(), pairs.key.tolist()))
    assert len(near) > 50 and near == listed


def test_evenly():
    assert evenly(3, 10).tolist() == [0, 1, 2]
    assert evenly(0, 10).tolist() == []
    chosen = evenly(100, 5)
    assert chosen.tolist() == [0, 24, 49, 74, 99]
