"""The photographs come from the wheels, and their lack is explained."""

import importlib.util

import numpy as np
import pytest

from hvc_mm.datasets.sample import photos as module
from hvc_mm.datasets.sample.photos import (
    load_disparity,
    load_photo,
    photo_names,
)


@pytest.mark.parametrize('name', photo_names())
def test_every_photograph_is_in_colour_and_large(name, photos):
    photo = load_photo(name)
    assert photo.dtype == np.uint8 and photo.shape[2] == 3
    assert min(photo.shape[:2]) >= 300
    # A photograph of one value would be no texture to track.
    assert photo.std() > 20
    assert not photo.flags.writeable


def test_channels_are_bgr(photos):
    """The astronaut's suit is orange: much red, little blue."""
    blue, _, red = load_photo('astronaut')[300, 100].astype(int)
    assert red > blue + 80


def test_disparity_matches_the_pair(photos):
    """Moved by the disparity, the right picture looks like the left one."""
    left = load_photo('motorcycle_left').astype(np.float32)
    right = load_photo('motorcycle_right').astype(np.float32)
    disparity = load_disparity()
    assert disparity.shape == left.shape[:2]
    rows, columns = np.nonzero(np.isfinite(disparity))
    moved = np.rint(columns - disparity[rows, columns]).astype(int)
    inside = moved >= 0
    rows, columns, moved = rows[inside], columns[inside], moved[inside]
    there = np.abs(left[rows, columns] - right[rows, moved]).mean()
    here = np.abs(left[rows, columns] - right[rows, columns]).mean()
    assert there < 0.4 * here


def test_unknown_name():
    with pytest.raises(KeyError, match='no photograph'):
        load_photo('lena')


def test_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    load_photo.cache_clear()
    with pytest.raises(ModuleNotFoundError, match='pip install scikit-image'):
        load_photo('coffee')
    with pytest.raises(ModuleNotFoundError, match='pip install scikit-learn'):
        load_photo('china')


@pytest.fixture
def fake_package(tmp_path, monkeypatch):
    """An empty folder in place of either package."""

    class Spec:
        submodule_search_locations = [str(tmp_path)]

    monkeypatch.setattr(module.importlib.util, 'find_spec', lambda _: Spec)
    load_photo.cache_clear()
    yield tmp_path
    load_photo.cache_clear()


def test_package_without_the_file(fake_package):
    with pytest.raises(FileNotFoundError, match='without .*coffee.png'):
        load_photo('coffee')


def test_undecodable_file(fake_package):
    (fake_package / 'data').mkdir()
    (fake_package / 'data/coffee.png').write_bytes(b'no image at all')
    with pytest.raises(ValueError, match='cannot decode .*coffee.png'):
        load_photo('coffee')
