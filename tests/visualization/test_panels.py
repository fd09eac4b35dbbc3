"""Rows keep their pixels, labels stay inside, curves run where scores are."""

import numpy as np
import pytest
import torch

from hvc_mm.datasets import davis_palette
from hvc_mm.visualization import as_rgb, caption, side_by_side
from hvc_mm.visualization.panels import (
    draw_label,
    draw_score_curve,
    text_scale,
)


def noise(height, width, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, 3), np.uint8)


def test_rows_and_captions():
    a, b = noise(40, 200), noise(40, 50, 1)
    np.testing.assert_array_equal(
        side_by_side([a, b]), np.concatenate([a, b], 1)
    )
    assert side_by_side([a, noise(80, 60)]).shape == (40, 230, 3)
    titled = caption(a, 'prediction')
    bar = len(titled) - 40
    assert bar > 8
    np.testing.assert_array_equal(titled[bar:], a)
    assert (titled[:bar] > 200).any() and (titled[:bar] == 32).any()
    row = side_by_side([a, a], ['one', 'two'])
    assert row.shape == (40 + bar, 400, 3)


def test_rgb_of_a_frame_is_a_copy():
    frame = torch.arange(24, dtype=torch.uint8).reshape(3, 2, 4)
    image = as_rgb(frame)
    assert image[1, 2].tolist() == [22, 14, 6]
    image[:] = 0
    assert frame[0, 1, 2] == 6


@pytest.mark.parametrize('centre', [(50, 40), (-20, -20), (500, 500)])
def test_labels_are_light_on_dark_wherever_they_are_asked_for(centre):
    image = np.full((80, 100, 3), 128, np.uint8)
    draw_label(image, 'bear', centre)
    assert (image > 200).all(-1).sum() > 20
    assert (image < 50).all(-1).sum() > 20
    if centre == (50, 40):
        y, x = np.nonzero((image != 128).any(-1))
        assert abs(x.mean() - 50) < 3 and abs(y.mean() - 40) < 3


def test_text_grows_with_the_picture():
    sizes = [(100, 100), (480, 854), (1080, 1920), (4000, 4000)]
    scales = [text_scale(np.empty((*size, 3))) for size in sizes]
    assert scales == sorted(scales) and len(set(scales)) == 4


def rows_of(strip, object_id, column):
    """Rows at which a column shows nearly an object's colour."""
    color = davis_palette()[object_id].astype(int)
    distance = np.abs(strip[:, column].astype(int) - color).sum(-1)
    return np.flatnonzero(distance < 60)


def test_the_curves_height_is_the_score():
    curve = {t: 0.25 if t < 50 else 0.75 for t in range(100)}
    strip = draw_score_curve({2: curve}, width=300, length=100)
    assert strip.shape == (80, 300, 3)
    low, high = rows_of(strip, 2, 120), rows_of(strip, 2, 250)
    # Margins of 6 pixels: 0 is row 73, 1 is row 6.
    assert abs(low.mean() - (73 - 0.25 * 67)) < 2
    assert abs(high.mean() - (73 - 0.75 * 67)) < 2


def test_frames_to_come_are_empty_and_gaps_stay_gaps():
    curve = {t: 0.6 for t in range(50) if not 20 <= t < 30}
    strip = draw_score_curve({1: curve}, width=300, length=100)
    seen = [len(rows_of(strip, 1, x)) > 0 for x in (35, 75, 110, 200)]
    assert seen == [True, False, True, False]
    for curves in ({}, {1: {0: 1.0}}):
        assert draw_score_curve(curves, width=50).shape == (80, 50, 3)
