"""Curves run where scores are, between axes with numbers."""

import numpy as np
import pytest

from hvc_mm.datasets import davis_palette
from hvc_mm.visualization import score_curve
from hvc_mm.visualization.score_curve import curve_height, draw_score_curve

WIDTH = 600


@pytest.fixture
def labels(monkeypatch):
    """Places of the labels that are drawn; those of scores begin with J."""
    said = {}
    draw = score_curve.draw_label

    def draw_label(strip, text, at, scale):
        said[text if at[0] > 20 else f'J {text}'] = at
        draw(strip, text, at, scale)

    monkeypatch.setattr(score_curve, 'draw_label', draw_label)
    return said


def rows_of(strip, object_id, column):
    """Rows below the legend at which a column shows an object's colour."""
    color = davis_palette()[object_id].astype(int)
    distance = np.abs(strip[:, column].astype(int) - color).sum(-1)
    rows = np.flatnonzero(distance < 60)
    return rows[rows > 19]


def test_the_axes_numbers_are_where_the_scores_are(labels):
    curve = {t: 0.25 if t < 50 else 0.75 for t in range(101)}
    strip = draw_score_curve({2: curve}, WIDTH, 101)
    assert strip.shape == (curve_height(WIDTH), WIDTH, 3)
    bottom, middle, top = (
        labels[f'J {text}'][1] for text in ('0', '0.5', '1')
    )
    assert bottom - middle == pytest.approx(middle - top, abs=1)
    for frame, score in (20, 0.25), (80, 0.75):
        x = int(labels[str(frame)][0])
        assert rows_of(strip, 2, x).mean() == pytest.approx(
            bottom - score * (bottom - top), abs=1.5
        )
    # Frame 100 is the last one; there the line stands.
    x = int(labels['100'][0])
    assert (strip[40, x] == 160).all() and (strip[40, x - 9] != 160).any()


def test_the_legend_has_each_objects_colour_and_score(labels):
    curves = {1: {0: 1.0, 5: 0.5}, 3: {5: 0.25}, 7: {4: 0.9}}
    strip = draw_score_curve(curves, WIDTH, 9)
    # Of the last frame: 7 has no score there.
    assert {'frame 5: J 0.375', '1: 0.50', '3: 0.25'} <= set(labels)
    assert not any(text.startswith('7:') for text in labels)
    for object_id in (1, 3):
        x, y = labels[f'{object_id}: {curves[object_id][5]:.2f}']
        row = strip[int(y), : int(x)]
        assert (row == davis_palette()[object_id]).all(-1).any()
    labels.clear()
    draw_score_curve({1: {0: 1.0}}, WIDTH)
    assert 'frame 0: J 1.000' in labels and '1: 1.00' not in labels


def test_a_legend_without_room_is_cut_and_the_size_stays(labels):
    many = {i: {0: 0.5} for i in range(1, 60)}
    shape = draw_score_curve(many, WIDTH).shape
    assert shape == draw_score_curve({1: {0: 0.5}}, WIDTH).shape
    entries = [text for text in labels if ': 0.50' in text]
    assert 4 < len(entries) < 12
    assert all(labels[text][0] < WIDTH for text in entries)


def test_frames_to_come_are_empty_and_gaps_stay_gaps(labels):
    curve = {t: 0.6 for t in range(50) if not 20 <= t < 30}
    strip = draw_score_curve({1: curve}, WIDTH, 101)
    left, right = labels['0'][0], labels['100'][0]
    shown = {
        frame: bool(
            len(rows_of(strip, 1, round(left + (right - left) * frame / 100)))
        )
        for frame in (10, 25, 40, 70)
    }
    assert shown == {10: True, 25: False, 40: True, 70: False}


@pytest.mark.parametrize('width', [50, 200, 3000])
@pytest.mark.parametrize('curves', [{}, {1: {0: 1.0}}])
def test_any_width(width, curves):
    strip = draw_score_curve(curves, width)
    assert strip.shape == (curve_height(width), width, 3)
