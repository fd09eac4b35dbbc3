"""Pictures of pre-training say what is true of the sample."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from hvc_mm.models.losses import find_positive_pairs
from hvc_mm.visualization import pretraining
from hvc_mm.visualization.pretraining import (
    draw_nearest_cells,
    draw_positive_pairs,
    draw_pretraining_sample,
)

GRID = (8, 8)
BOXES = torch.tensor([[0.0, 0.0, 0.8, 0.8], [0.2, 0.2, 1.0, 1.0]])


@pytest.fixture
def views():
    rng = np.random.default_rng(0)
    return list(rng.integers(0, 256, (2, 64, 64, 3), np.uint8))


@pytest.fixture
def captions(monkeypatch):
    said = []

    def caption(image, text):
        said.append(text)
        return image

    monkeypatch.setattr(pretraining, 'caption', caption)
    return said


def same_place_features():
    """Features of places in the image: both views see the same ones."""
    maps = []
    for x1, y1, x2, y2 in BOXES.tolist():
        centres = (torch.arange(8) + 0.5) / 8
        x, y = x1 + centres * (x2 - x1), y1 + centres * (y2 - y1)
        place = torch.stack(
            [
                *(torch.sin(k * x).expand(8, 8) for k in (3, 7, 11)),
                *(torch.sin(k * y)[:, None].expand(8, 8) for k in (3, 7, 11)),
                torch.ones(8, 8),
            ]
        )
        maps.append(F.normalize(place, dim=0))
    return maps


def test_number_of_pairs_is_the_losses(views, captions):
    total = len(find_positive_pairs(BOXES[:1], BOXES[1:], GRID, 0.1).query)
    assert total > 5
    draw_positive_pairs(views, BOXES, GRID, most=5)
    assert captions == [f'positive pairs: {total}, 5 shown']


def test_views_without_a_pair(views, captions):
    boxes = torch.tensor([[0.0, 0.0, 0.3, 0.3], [0.6, 0.6, 1.0, 1.0]])
    picture = draw_positive_pairs(views, boxes, GRID)
    np.testing.assert_array_equal(picture[:, :64], views[0])
    query, key = same_place_features()
    picture = draw_nearest_cells(views, boxes, query, key)
    np.testing.assert_array_equal(picture[:, -64:], views[1])
    assert captions == ['positive pairs: 0', 'nearest features: 0 of 0 right']


def test_right_and_wrong_matches_are_told_apart(views, captions):
    query, key = same_place_features()
    right = draw_nearest_cells(views, BOXES, query, key, most=12)
    wrong = draw_nearest_cells(views, BOXES, query, key.flip(1, 2), most=12)
    assert captions[0] == 'nearest features: 12 of 12 right'
    assert int(captions[1].split()[2]) < 4
    green, red = (64, 224, 64), (240, 48, 48)
    assert (right == green).all(-1).any() and not (right == red).all(-1).any()
    assert (wrong == red).all(-1).any()


def test_whole_picture(views):
    query, key = same_place_features()
    flows = torch.randn(2, 2, *GRID)
    picture = draw_pretraining_sample(views, BOXES, query, key, flows)
    # Views of 64 pixels are enlarged to 192, three rows with captions.
    assert picture.shape[1] == 2 * 192 + 16
    assert 3 * 192 < picture.shape[0] < 3 * (192 + 30)
    assert picture.dtype == np.uint8
