"""Cut-outs: inside their photographs, masks of the right area."""

import numpy as np
import pytest

from hvc_mm.datasets.sample.coco import coco_categories
from hvc_mm.datasets.sample.cutouts import (
    cut_out,
    cut_out_category,
    cut_out_names,
    cut_out_source,
    cut_polygon,
    objects_in_photo,
    parse_outline,
)
from hvc_mm.datasets.sample.photos import load_photo, photo_names
from hvc_mm.datasets.sample.polygons import coverage, polygon_area


@pytest.mark.parametrize('name', cut_out_names())
def test_cut_out(name, photos):
    piece = cut_out(name)
    assert piece.alpha.shape == piece.image.shape[:2]
    assert 0 <= piece.alpha.min() and piece.alpha.max() == 1
    # The mask's area is the outline's, up to the width of its edge.
    assert piece.alpha.sum() == pytest.approx(piece.extent**2, rel=0.01)
    assert cut_out_source(name) in photo_names()
    assert cut_out_category(name)
    # Enough texture to be followed.
    assert piece.image[piece.alpha == 1].std() > 30


@pytest.mark.parametrize('photo', photo_names())
def test_objects_lie_in_their_photograph(photo, photos):
    height, width = load_photo(photo).shape[:2]
    for category, outline in objects_in_photo(photo):
        assert category in coco_categories()
        assert outline.min() >= 0
        assert (outline.max(axis=0) <= (width, height)).all()


def test_right_motorcycle_looks_like_the_left_one(photos):
    """The carried outline holds the same thing: mean colours agree."""
    means, areas = [], []
    for side in ('left', 'right'):
        photo = load_photo(f'motorcycle_{side}')
        ((_, outline),) = objects_in_photo(f'motorcycle_{side}')
        inside = coverage(outline, *photo.shape[:2]) == 1
        means.append(photo[inside].mean(axis=0))
        areas.append(polygon_area(outline))
    assert np.abs(means[0] - means[1]).max() < 4
    assert areas[1] == pytest.approx(areas[0], rel=0.05)
    moved = objects_in_photo('motorcycle_left')[0][1] - outline
    # Measured by eye at both wheels: 41 and 56 pixels.
    assert (moved[:, 0] > 36).all() and (moved[:, 0] < 62).all()
    assert (moved[:, 1] == 0).all()


def test_parse_outline():
    assert parse_outline('1 2 3 4').tolist() == [[1, 2], [3, 4]]


def test_outline_outside_the_image():
    image = np.zeros((10, 10, 3), np.uint8)
    with pytest.raises(ValueError, match='expected it inside'):
        cut_polygon('thing', image, parse_outline('1 1 12 1 12 5'))


def test_outline_without_area():
    image = np.zeros((10, 10, 3), np.uint8)
    with pytest.raises(ValueError, match='encloses no pixel'):
        cut_polygon('thing', image, parse_outline('1 1 5 5 1 1'))


def test_unknown_cut_out():
    with pytest.raises(KeyError, match='no cut-out'):
        cut_out('dog')
