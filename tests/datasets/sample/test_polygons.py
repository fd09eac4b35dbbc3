"""Polygon geometry against areas known by hand and against rasters."""

import numpy as np
import pytest

from hvc_mm.datasets.sample.polygons import (
    clip_to_frame,
    coverage,
    polygon_area,
)

SQUARE = np.array([[1, 1], [5, 1], [5, 4], [1, 4]], float)
# A comb: its lower half falls into three teeth.
COMB = np.array(
    [
        [0, 0], [9, 0], [9, 8], [7, 8], [7, 3], [5, 3],
        [5, 8], [3, 8], [3, 3], [2, 3], [2, 8], [0, 8],
    ],
    float,
)  # fmt: skip


@pytest.mark.parametrize('turn', [SQUARE, SQUARE[::-1]])
def test_area_whatever_the_sense(turn):
    assert polygon_area(turn) == 12


@pytest.mark.parametrize(
    'offset, expected',
    [
        ((0, 0), 12),  # inside
        ((-3, 0), 6),  # half out on the left
        ((5, 0), 6),  # on the right, frame 8 wide
        ((0, -2), 8),
        ((0, 4), 4),
        ((-3, -2), 4),
        ((20, 0), 0),
    ],
)
def test_clipped_area(offset, expected):
    part = clip_to_frame(SQUARE + offset, 8, 6)
    area = polygon_area(part) if len(part) else 0.0
    assert area == pytest.approx(expected)
    if len(part):
        assert part.min() >= 0
        assert (part.max(axis=0) <= (8, 6)).all()


def test_clipping_leaves_an_inner_polygon_alone():
    assert np.array_equal(clip_to_frame(SQUARE, 8, 6), SQUARE)


def test_concave_polygon_in_pieces():
    """Teeth 2, 2 and 2 wide below row 4, cut at 6: joined by no area."""
    part = clip_to_frame(COMB - (0, 4), 9, 2)
    assert polygon_area(part) == pytest.approx((2 + 2 + 2) * 2)


def test_random_polygons_against_fine_rasters():
    rng = np.random.default_rng(0)
    for _ in range(20):
        angles = np.sort(rng.uniform(0, 2 * np.pi, 9))
        radii = rng.uniform(5, 20, 9)
        polygon = np.stack(
            (16 + radii * np.cos(angles), 12 + radii * np.sin(angles)), axis=1
        )
        part = clip_to_frame(polygon, 32, 24)
        assert polygon_area(part) == pytest.approx(
            coverage(polygon, 24, 32).sum(), rel=0.03, abs=2
        )


def test_coverage_of_whole_and_half_pixels():
    polygon = np.array([[1, 1], [3.5, 1], [3.5, 3], [1, 3]], float)
    share = coverage(polygon, 4, 5)
    expected = np.zeros((4, 5), np.float32)
    expected[1:3, 1:3] = 1
    expected[1:3, 3] = 0.5
    assert share.dtype == np.float32
    # OpenCV draws the outline too: half a fine pixel beyond.
    assert np.abs(share - expected).max() <= 0.13
