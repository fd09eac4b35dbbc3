"""Colours, contours and labels where the ids are, the frame elsewhere."""

import numpy as np
import pytest

from hvc_mm.datasets.image_io import davis_palette
from hvc_mm.visualization import overlay, overlay_ids


@pytest.fixture
def frame():
    return np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)


@pytest.fixture
def ids():
    ids = np.zeros((60, 80), np.uint8)
    ids[10:50, 5:40], ids[5:35, 48:78] = 1, 9
    return ids


def test_background_is_the_frame(frame, ids):
    before = frame.copy()
    out = overlay_ids(frame, ids)
    # Contours are a pixel wide, labels lie in the objects.
    away = np.ones(ids.shape, bool)
    away[8:52, 3:42] = away[3:37, 46:80] = False
    np.testing.assert_array_equal(out[away], frame[away])
    np.testing.assert_array_equal(frame, before)


def test_colours_are_blended_and_contours_are_pure(frame, ids):
    out = overlay_ids(frame, ids, alpha=0.25)
    for object_id, inside, edge in (
        (1, (14, 9), (30, 5)),
        (9, (8, 51), (5, 60)),
    ):
        color = davis_palette()[object_id].astype(float)
        blend = 0.75 * frame[inside] + 0.25 * color
        assert np.abs(out[inside] - blend).max() <= 1
        np.testing.assert_array_equal(out[edge], color)


def test_labels_are_ids_or_names(frame, ids, monkeypatch):
    ids[0, 0] = 3  # a single pixel
    said = []
    monkeypatch.setattr(
        overlay, 'draw_label', lambda image, text, at: said.append((text, at))
    )
    overlay_ids(frame, ids)
    assert {text for text, _ in said} == {'1', '3', '9'}
    for text, (x, y) in said:
        assert ids[y, x] == int(text)
    said.clear()
    overlay_ids(frame, ids, names={1: 'hat', 3: 'sock'})
    # No room for the sock; 9 has no name.
    assert {text for text, _ in said} == {'hat', '9'}
    said.clear()
    overlay_ids(frame, ids, names=('background', 'hat'))
    assert {text for text, _ in said} == {'hat', '9'}


def test_the_label_of_a_ring_lies_on_it(frame, monkeypatch):
    y, x = np.mgrid[:60, :80]
    radius = np.hypot(y - 30, x - 40)
    ids = ((radius > 15) & (radius < 25)).astype(np.uint8)
    at = []
    monkeypatch.setattr(overlay, 'draw_label', lambda i, t, c: at.append(c))
    overlay_ids(frame, ids)
    assert ids[at[0][1], at[0][0]] == 1


def test_sizes_must_fit(frame, ids):
    with pytest.raises(ValueError, match=r'\(60, 80\).*\(60, 79\)'):
        overlay_ids(frame, ids[:, :-1])
