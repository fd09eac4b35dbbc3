import math

import numpy as np
import pytest
import torch

from hvc_mm.models.vos.windowed import Tiling, reach_of

CPU = torch.device('cpu')


@pytest.mark.parametrize(
    'radius, reach',
    [(0.5, 0), (1, 0), (1.5, 1), (2, 1), (2.3, 2), (12, 11), (None, 19)],
)
def test_reach(radius, reach):
    assert reach_of(radius, 7, 20) == reach
    assert reach_of(radius, 3, 4) == min(reach, 3)


def test_no_limit_is_infinite():
    assert reach_of(math.inf, 5, 4) == 4
    (tile,) = Tiling(2, 2, math.inf, 4, 10**9, CPU)
    assert tile.missing is None
    assert tile.near.shape == (4, 4)


CASES = [
    (1, 1, 2, 4, 10**9),
    (9, 13, 3, 4, 10**9),
    (9, 13, 3, 4, 400),  # several bands of rows
    (30, 3, 4, 4, 10**9),  # narrower than a tile
    (5, 6, 40, 3, 10**9),  # smaller than the window
    (7, 9, math.sqrt(5), 2, 10**9),
    (12, 5, None, 2, 300),
    (40, 6, 5.5, 8, 1),  # no budget at all: single rows
]


@pytest.mark.parametrize('height, width, radius, columns, budget', CASES)
def test_every_pair_within_the_disc_is_looked_at(
    height, width, radius, columns, budget
):
    """Enumerate, for each query, the keys that the tables lead to."""
    limit = math.inf if radius is None else radius
    done = set()
    for tile in Tiling(height, width, radius, columns, budget, CPU):
        band = tile.band
        sizes = (
            tile.last_key - tile.first_key,
            band.stored,
            tile.right - tile.left,
        )
        missing = tile.missing
        if missing is None:
            missing = torch.zeros_like(tile.near).bool()
        assert not missing.all(dim=0).any(), 'wider than any query needs'
        query = 0
        for y in range(band.top, band.bottom):
            for x in range(tile.left, tile.right):
                keys = set()
                places = tile.near[query][~missing[query]]
                for place in places.tolist():
                    v, u, slot, column = np.unravel_index(
                        place, (band.last_key - band.first_key, *sizes)
                    )
                    assert slot in band.spans[v], 'not computed'
                    assert band.base[v] + slot == y - band.top
                    assert column == x - tile.left
                    keys.add((band.first_key + v, tile.first_key + u))
                assert len(keys) == len(places), 'listed twice'
                near = {
                    (v, u)
                    for v in range(height)
                    for u in range(width)
                    if (v - y) ** 2 + (u - x) ** 2 < limit**2
                    or limit == math.inf
                }
                assert keys == near
                done.add((y, x))
                query += 1
    assert len(done) == height * width


@pytest.mark.parametrize('budget', [300, 3000, 30000])
def test_scores_stay_within_the_budget(budget):
    for tile in Tiling(40, 20, 3, 4, budget, CPU):
        band = tile.band
        keys = band.last_key - band.first_key
        across = tile.last_key - tile.first_key
        queries = band.stored * (tile.right - tile.left)
        assert band.bottom - band.top == 1 or (
            keys * across * queries <= budget
        )


def test_most_products_are_needed():
    """What the row-wise products compute beyond the disc is bounded."""
    made = 0
    for tile in Tiling(60, 108, 12, 4, 10**9, CPU):
        across = tile.last_key - tile.first_key
        made += sum(4 * across * len(span) for span in tile.band.spans)
    needed = sum(
        (60 - abs(dy)) * (108 - abs(dx))
        for dy in range(-11, 12)
        for dx in range(-11, 12)
        if dy * dy + dx * dx < 144
    )
    assert 1 < made / needed < 1.45
