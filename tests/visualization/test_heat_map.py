"""Blue is 0, red is 1, and the scale is the same in every frame."""

import numpy as np
import pytest

from hvc_mm.visualization import overlay_heat


def test_colours_of_the_scale():
    frame = np.zeros((40, 40, 3), np.uint8)
    heat = np.zeros((4, 4), np.float32)
    heat[:, 2:] = 1
    out = overlay_heat(frame, heat, alpha=1.0).astype(int)
    red, blue = out[20, 38], out[20, 1]
    assert red[0] > 100 and red[2] == 0
    assert blue[2] > 20 and blue[0] == 0
    # Values beyond the scale are its ends.
    beyond = overlay_heat(frame, heat * 7 - 2, alpha=1.0)
    np.testing.assert_array_equal(beyond[20, [1, 38]], out[20, [1, 38]])


def test_the_frame_shows_through():
    frame = np.full((40, 40, 3), 200, np.uint8)
    heat = np.zeros((4, 4), np.float32)
    np.testing.assert_array_equal(overlay_heat(frame, heat, alpha=0), frame)
    cold = overlay_heat(frame, heat, alpha=0.6)
    assert (cold > 120).all()


def test_mark():
    frame = np.full((60, 60, 3), 100, np.uint8)
    heat = np.zeros((4, 4), np.float32)
    plain, marked = (
        overlay_heat(frame, heat, point=p) for p in (None, (20, 30))
    )
    changed = (plain != marked).any(-1)
    assert changed[30, 20] and not changed[:, 40:].any()


def test_shape():
    with pytest.raises(ValueError, match=r'\(1, 4, 4\)'):
        overlay_heat(np.zeros((8, 8, 3), np.uint8), np.zeros((1, 4, 4)))
