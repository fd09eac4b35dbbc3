"""Stills: shapes, and outlines that go along with the crop."""

import numpy as np
import pytest

from hvc_mm.datasets.sample import stills
from hvc_mm.datasets.sample.stills import draw_crop, draw_still, draw_tiling

# A photograph with one saturated square that an outline marks.
LEFT, TOP, RIGHT, LOWER = 60, 40, 140, 120


@pytest.fixture
def marked(monkeypatch):
    photo = np.zeros((200, 300, 3), np.uint8)
    photo[TOP:LOWER, LEFT:RIGHT] = 255
    outline = np.array(
        [[LEFT, TOP], [RIGHT, TOP], [RIGHT, LOWER], [LEFT, LOWER]], float
    )
    monkeypatch.setattr(stills, 'load_photo', lambda name: photo)
    monkeypatch.setattr(
        stills, 'objects_in_photo', lambda name: (('tv', outline),)
    )


@pytest.mark.parametrize('draw', [draw_crop, draw_tiling])
def test_outlines_lie_where_the_object_is(draw, marked):
    """All white pixels lie in outlines; each box is white to its border."""
    seen = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        shape = (96, 128)
        still = (
            draw(rng, shape, 'any') if draw is draw_crop else draw(rng, shape)
        )
        assert still.image.shape == (*shape, 3)
        inside = np.zeros(shape, bool)
        for name, outline in still.objects:
            assert name == 'tv'
            x1, y1 = np.floor(outline.min(axis=0)).astype(int)
            x2, y2 = np.ceil(outline.max(axis=0)).astype(int)
            inside[y1:y2, x1:x2] = True
            core = still.image[y1 + 2 : y2 - 2, x1 + 2 : x2 - 2]
            assert (core > 250).all()
            seen += 1
        # Slivers under the limit are not annotated; none is wider.
        rest = (still.image[..., 0] > 250) & ~inside
        assert rest.sum() < 0.05 * inside.size
    assert seen > 20


def test_slivers_are_not_annotated(marked, monkeypatch):
    """What a crop shows of an object is at least 3% of it, or left out."""
    for seed in range(60):
        still = draw_crop(np.random.default_rng(seed), (96, 128), 'any')
        for _, outline in still.objects:
            extent = outline.max(axis=0) - outline.min(axis=0)
            assert extent.prod() >= 64


def test_drawn_stills(photos):
    sizes, bare = set(), 0
    for seed in range(40):
        still = draw_still(np.random.default_rng(seed))
        height, width = still.image.shape[:2]
        sizes.add((height, width))
        assert still.image.dtype == np.uint8
        assert still.image.flags.c_contiguous
        bare += not still.objects
        for _, outline in still.objects:
            assert outline.min() >= 0
            assert (outline.max(axis=0) <= (width, height)).all()
    assert len(sizes) >= 3
    assert 0 < bare < 40
