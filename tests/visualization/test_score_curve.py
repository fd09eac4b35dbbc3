"""The curve runs where the scores are."""

import numpy as np

from hvc_mm.datasets.image_io import davis_palette
from hvc_mm.visualization import draw_score_curve


def rows_of(strip, color, column):
    """Rows at which a column shows nearly a colour."""
    distance = np.abs(strip[:, column].astype(int) - color).sum(-1)
    return np.flatnonzero(distance < 60)


def test_height_is_the_score():
    color = davis_palette()[2].astype(int)
    curve = {t: 0.25 if t < 50 else 0.75 for t in range(100)}
    strip = draw_score_curve({2: curve}, width=300, length=100, height=100)
    assert strip.shape == (100, 300, 3)
    low, high = rows_of(strip, color, 120), rows_of(strip, color, 250)
    # Margins of 6 pixels: 0 is row 93, 1 is row 6.
    assert abs(low.mean() - (93 - 0.25 * 87)) < 2
    assert abs(high.mean() - (93 - 0.75 * 87)) < 2


def test_frames_to_come_are_empty_and_gaps_stay_gaps():
    color = davis_palette()[1].astype(int)
    curve = {t: 0.6 for t in range(50) if not 20 <= t < 30}
    strip = draw_score_curve({1: curve}, width=300, length=100)
    assert len(rows_of(strip, color, 110)) and len(rows_of(strip, color, 35))
    assert not len(rows_of(strip, color, 75))
    assert not len(rows_of(strip, color, 200))


def test_nothing_known_yet():
    assert draw_score_curve({}, width=50).shape == (80, 50, 3)
    assert draw_score_curve({1: {0: 1.0}}, width=50).shape == (80, 50, 3)
