"""Labels are on large objects, beside small ones, and hide no object."""

import numpy as np
import pytest

from hvc_mm.visualization.label_places import LabelPlaces

SIZE = (9, 15)


def box(place, size=SIZE):
    """The rows and columns that a label at a place covers."""
    top, left = place[1] - size[0] // 2, place[0] - size[1] // 2
    assert top >= 0 and left >= 0
    return slice(top, top + size[0]), slice(left, left + size[1])


@pytest.fixture
def objects():
    """A large object, a small one in it, and a thin one far from both."""
    ids = np.zeros((90, 160), int)
    ids[10:70, 20:90] = 1
    ids[38:43, 50:56] = 2
    ids[5:85, 120:124] = 3
    return ids


def test_on_a_large_object_but_on_no_other(objects):
    place = LabelPlaces(objects > 0).take(objects == 1, SIZE)
    assert (objects[box(place)] == 1).all()


@pytest.mark.parametrize('object_id', [2, 3])
def test_beside_a_small_or_thin_object(objects, object_id):
    place = LabelPlaces(objects > 0).take(objects == object_id, SIZE)
    covered = objects[box(place)]
    assert covered.shape == SIZE and (covered == 0).all()
    if object_id == 3:  # next to it: half a label, a pixel, no more
        y, x = np.nonzero(objects == 3)
        away = np.hypot(x - place[0], y - place[1]).min()
        assert away <= SIZE[1] / 2 + 1


def test_labels_keep_apart(objects):
    crowd = np.zeros((90, 160), bool)
    crowd[40:44, 40:44] = True
    places = LabelPlaces(crowd)
    seen = np.zeros(crowd.shape, int)
    for _ in range(12):
        seen[box(places.take(crowd, SIZE))] += 1
    assert seen.max() == 1 and not seen[crowd].any()


def test_random_objects_stay_whole():
    rng = np.random.default_rng(0)
    for _ in range(20):
        ids = np.zeros((60, 100), int)
        for object_id in range(1, 8):
            y, x = rng.integers(0, (50, 90))
            height, width = rng.integers(1, (30, 40))
            ids[y : y + height, x : x + width] = object_id
        places, size = LabelPlaces(ids > 0), tuple(rng.integers(3, 12, 2))
        for object_id in set(ids.ravel()) - {0}:
            mask = ids == object_id
            place = places.take(mask, size)
            if place is None:
                continue
            covered = ids[box(place, size)]
            assert covered.shape == size
            assert set(covered.ravel()) in ({0}, {object_id})
            assert (covered > 0).sum() <= 0.15 * mask.sum()


def test_no_place_at_all():
    full = np.ones((20, 20), bool)
    assert LabelPlaces(full).take(full, (18, 18)) is None
    assert LabelPlaces(full).take(full, (30, 3)) is None
