"""Drawn scenes hold what their protocol needs, and repeat by seed."""

import numpy as np
import pytest

from hvc_mm.datasets.sample.cutouts import cut_out_source
from hvc_mm.datasets.sample.photos import load_photo, photo_names
from hvc_mm.datasets.sample.renderer import Renderer
from hvc_mm.datasets.sample.staging import draw_scene, stream

SIZE = (60, 106)


def visible(scene, frame):
    ids = Renderer(scene, SIZE).ids(frame)
    return {label for label in np.unique(ids).tolist() if label}


def draw(seed, objects=2, length=12, **kwargs):
    return draw_scene(
        stream(seed, 'test', 0), '{objects}-x', length, SIZE, objects, **kwargs
    )


@pytest.mark.parametrize('objects', [1, 2, 3])
@pytest.mark.parametrize('seed', range(4))
def test_all_objects_are_there_from_the_first_frame(objects, seed, photos):
    scene = draw(seed, objects)
    assert scene.labels == tuple(range(1, objects + 1))
    for frame in range(scene.length):
        assert visible(scene, frame) == set(scene.labels)
    names = [actor.cut_out.name for actor in scene.actors]
    assert len(set(names)) == objects
    assert scene.name == '-'.join(names) + '-x'


@pytest.mark.parametrize('seed', range(4))
def test_objects_cover_each_other(seed, photos):
    scene = draw(seed, 2)
    renderer = Renderer(scene, SIZE)
    shares = []
    for frame in range(scene.length):
        ids = renderer.ids(frame)
        for actor, whole in zip(scene.actors, renderer.silhouettes(frame)):
            shares.append((ids == actor.label).sum() / whole.sum())
    assert min(shares) < 0.85


@pytest.mark.parametrize('seed', range(4))
def test_newcomer(seed, photos):
    labelled = draw(seed, 2, late=5, late_labelled=True)
    assert labelled.labels == (1, 2, 3)
    for frame in range(labelled.length):
        assert (3 in visible(labelled, frame)) == (frame >= 5)
    # Its first mask shows most of it.
    renderer = Renderer(labelled, SIZE)
    area = labelled.actors[-1].motion.pose(0).scale ** 2 * 60 * 106
    assert renderer.silhouettes(5)[-1].sum() > 0.55 * area
    assert 0.1 < labelled.actors[-1].motion.pose(1).x < 0.9
    passer_by = draw(seed, 2, late=5)
    assert passer_by.labels == (1, 2)


def test_streams_differ_by_all_their_keys():
    draws = {
        stream(*key).integers(1 << 60)
        for key in [(0, 'a', 0), (1, 'a', 0), (0, 'b', 0), (0, 'a', 1)]
    }
    assert len(draws) == 4


def test_backdrop_shows_none_of_the_objects(photos):
    for seed in range(12):
        scene = draw(seed, 3)
        (shown,) = (
            name
            for name in photo_names()
            if load_photo(name) is scene.backdrop.photo
        )
        for actor in scene.actors:
            source = cut_out_source(actor.cut_out.name)
            assert source.split('_')[0] != shown.split('_')[0]


@pytest.mark.parametrize('length', [1, 2, 5])
def test_very_short_videos(length, photos):
    assert draw(0, 2, length).length == length


@pytest.mark.parametrize('late', [-1, 12])
def test_newcomer_beyond_the_video(late):
    with pytest.raises(ValueError, match='a newcomer at frame'):
        draw(0, late=late)
