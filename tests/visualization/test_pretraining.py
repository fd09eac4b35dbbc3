"""Pictures of pre-training say what is true of the sample."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from hvc_mm.models.losses import find_positive_pairs
from hvc_mm.visualization import (
    draw_crops,
    draw_positive_pairs,
    draw_pretraining_sample,
    pretraining,
)
from hvc_mm.visualization.pretraining import draw_nearest_cells, flow_to_rgb

GRID = (8, 8)
BOXES = torch.tensor([[0.0, 0.0, 0.8, 0.8], [0.2, 0.2, 1.0, 1.0]])
APART = torch.tensor([[0.0, 0.0, 0.3, 0.3], [0.6, 0.6, 1.0, 1.0]])
GREEN, RED = (64, 224, 64), (240, 48, 48)


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


def shows(picture, color):
    return (picture == color).all(-1).any()


def test_boxes_are_drawn_on_the_image():
    image = np.zeros((101, 201, 3), np.uint8)
    boxes = [np.array([0.1, 0.2, 0.5, 0.6]), np.array([0.3, 0.4, 0.9, 1.0])]
    out = draw_crops(image, boxes)
    first, second = pretraining.VIEW_COLORS
    assert tuple(out[20, 20]) == tuple(out[60, 100]) == first
    assert tuple(out[40, 120]) == second
    assert not out[:15].any() and not image.any()


def test_pairs_are_the_losses(views, captions, monkeypatch):
    pairs = find_positive_pairs(BOXES[:1], BOXES[1:], GRID, 0.1)
    total = len(pairs.query)
    assert total > 5
    drawn = []
    draw = pretraining._draw_matches
    monkeypatch.setattr(
        pretraining,
        '_draw_matches',
        lambda *a: drawn.append(a[1:3]) or draw(*a),
    )
    draw_positive_pairs(views, BOXES, GRID, most=5)
    assert captions == [f'positive pairs: {total}, 5 shown']
    chosen = np.linspace(0, total - 1, 5).astype(int)
    assert torch.equal(drawn[0][0], pairs.query[chosen])
    assert torch.equal(drawn[0][1], pairs.key[chosen])


def test_lines_end_in_their_cells():
    views = [np.zeros((64, 64, 3), np.uint8)] * 2
    query, key = torch.tensor([[0, 15], [5, 15]])
    out = pretraining._draw_matches(views, query, key, (4, 4), [GREEN, RED])
    assert out.shape == (64, 64 + 16 + 64, 3)
    # Cell 0 has its centre at 8, cell 5 at 24, cell 15 at 56.
    assert tuple(out[8, 8]) == GREEN and tuple(out[24, 80 + 24]) == GREEN
    assert tuple(out[56, 56]) == RED and tuple(out[56, 80 + 56]) == RED
    # The line between, softened at its rims.
    assert np.abs(out[56, 100] - np.array(RED)).max() < 40
    assert not out[40:50, :64].any()


def test_right_and_wrong_matches_are_told_apart(views, captions):
    query, key = same_place_features()
    right = draw_nearest_cells(views, BOXES, query, key, most=12)
    wrong = draw_nearest_cells(views, BOXES, query, key.flip(1, 2), most=12)
    assert captions[0] == 'nearest features: 12 of 12 right'
    assert int(captions[1].split()[2]) < 4
    assert shows(right, GREEN) and not shows(right, RED)
    assert shows(wrong, RED)


def test_views_without_a_pair(views, captions):
    picture = draw_positive_pairs(views, APART, GRID)
    np.testing.assert_array_equal(picture[:, :64], views[0])
    query, key = same_place_features()
    picture = draw_nearest_cells(views, APART, query, key)
    np.testing.assert_array_equal(picture[:, -64:], views[1])
    assert captions == ['positive pairs: 0', 'nearest features: 0 of 0 right']


def test_direction_is_hue_and_length_is_saturation():
    flow = torch.zeros(2, 1, 4, requires_grad=True)
    with torch.no_grad():
        flow[0, 0, :3] = torch.tensor([4.0, -4, 1])  # right, left, short
    rgb = flow_to_rgb(flow, (10, 40))
    assert rgb.shape == (10, 40, 3)
    right, left, short, still = rgb[5, 5::10].astype(int)
    assert (still == 255).all()
    assert np.abs(right - left).sum() > 200
    np.testing.assert_allclose(255 - short, (255 - right) / 4, atol=2)
    half = flow_to_rgb(flow.bfloat16(), (10, 40)).astype(int)
    assert np.abs(half - rgb).max() < 12


def test_whole_picture(views):
    query, key = same_place_features()
    flows = torch.randn(2, 2, *GRID)
    picture = draw_pretraining_sample(views, BOXES, query, key, flows)
    # Views of 64 pixels are enlarged to 192, three rows with captions.
    assert picture.shape[1] == 2 * 192 + 16
    assert 3 * 192 < picture.shape[0] < 3 * (192 + 30)
    assert picture.dtype == np.uint8
