"""Rows keep their pixels, labels stay inside."""

import numpy as np
import pytest
import torch

from hvc_mm.visualization import as_rgb, caption, side_by_side
from hvc_mm.visualization.panels import draw_label, label_size, text_scale


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


@pytest.mark.parametrize('text', ['1', '255', 'right-leg'])
@pytest.mark.parametrize('scale', [0.35, 0.6, 1.5])
def test_a_labels_size_is_what_it_covers(text, scale):
    image = np.full((120, 400, 3), 128, np.uint8)
    draw_label(image, text, (200, 60), scale)
    y, x = np.nonzero((image != 128).any(-1))
    height, width = label_size(text, scale)
    # The box has its centre there; the ink leaves a pixel of it free.
    assert 60 - height // 2 <= y.min() <= 61 - height // 2
    assert 200 - width // 2 <= x.min() <= 201 - width // 2
    assert height - 2 <= np.ptp(y) + 1 <= height
    assert width - 2 <= np.ptp(x) + 1 <= width


def test_a_picture_smaller_than_a_label():
    image = np.full((6, 9, 3), 128, np.uint8)
    draw_label(image, 'bear', (4, 3))
    assert (image != 128).any()
    draw_label(image, '', (4, 3))
