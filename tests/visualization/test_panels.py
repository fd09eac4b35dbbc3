"""Pictures joined keep their pixels."""

import numpy as np

from hvc_mm.visualization.panels import caption, side_by_side, stacked


def noise(height, width, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, 3), np.uint8)


def test_row_and_column():
    a, b = noise(40, 30), noise(40, 50, 1)
    row = side_by_side([a, b])
    np.testing.assert_array_equal(row, np.concatenate([a, b], 1))
    column = stacked([a, b])
    assert column.shape == (80, 50, 3)
    np.testing.assert_array_equal(column[:40, :30], a)
    np.testing.assert_array_equal(column[40:], b)
    assert (column[:40, 30:] == 32).all()


def test_other_heights_are_scaled():
    row = side_by_side([noise(40, 30), noise(80, 60)])
    assert row.shape == (40, 60, 3)


def test_caption_is_above():
    image = noise(40, 200)
    titled = caption(image, 'prediction')
    bar = len(titled) - 40
    assert bar > 8
    np.testing.assert_array_equal(titled[bar:], image)
    assert (titled[:bar] > 200).any() and (titled[:bar] == 32).any()
    row = side_by_side([image, image], ['one', 'two'])
    assert row.shape == (40 + bar, 400, 3)
