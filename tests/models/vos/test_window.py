import math

import numpy as np
import pytest
import torch

from hvc_mm.models.vos.window import cut_tiles, in_window

CPU = torch.device('cpu')


def test_the_window_is_a_disc_without_its_edge():
    offsets = torch.arange(-2, 3)
    inside = in_window(offsets[:, None], offsets, 2)
    assert inside.sum() == 9 and not inside[0, 2] and inside[1, 1]
    assert in_window(offsets[:, None], offsets, 2.01).sum() == 13
    for unlimited in (None, math.inf):
        assert in_window(offsets[:, None], offsets, unlimited).all()


CASES = [
    (1, 1, 2, 4, 10**9),
    (9, 13, 0.5, 4, 10**9),
    (9, 13, 3, 4, 10**9),
    (9, 13, 3, 4, 400),  # several bands of rows
    (30, 3, 4, 4, 10**9),  # narrower than a tile
    (5, 6, 40, 3, 10**9),  # smaller than the window
    (7, 9, math.sqrt(5), 2, 10**9),
    (12, 5, None, 2, 300),
    (40, 6, 5.5, 8, 1),  # no budget at all: single rows
]


@pytest.mark.parametrize('height, width, radius, columns, budget', CASES)
def test_every_pair_within_the_window_is_listed_once(
    height, width, radius, columns, budget
):
    """Enumerate, for each query, the keys that the tables lead to."""
    limit = math.inf if radius is None else radius
    done = set()
    for tile in cut_tiles((height, width), radius, columns, budget, CPU):
        rows, xs, key_rows, key_columns = (
            range(axis.start, axis.stop) for axis in tile[:4]
        )
        shape = (len(key_rows), len(key_columns), tile.stored, len(xs))
        missing = tile.missing
        if missing is None:
            missing = torch.zeros_like(tile.near).bool()
        assert not missing.all(dim=0).any(), 'wider than any query needs'
        queries = [(y, x) for y in rows for x in xs]
        for (y, x), near, gone in zip(queries, tile.near, missing):
            keys = set()
            for place in near[~gone].tolist():
                v, u, slot, column = np.unravel_index(place, shape)
                assert slot in tile.spans[v], 'not computed'
                assert tile.first[v] + slot == y - rows.start
                assert column == x - xs.start
                keys.add((key_rows[v], key_columns[u]))
            assert len(keys) == (~gone).sum(), 'listed twice'
            assert keys == {
                (v, u)
                for v in range(height)
                for u in range(width)
                if (v - y) ** 2 + (u - x) ** 2 < limit**2
            }
            done.add((y, x))
    assert len(done) == height * width


@pytest.mark.parametrize('budget', [300, 3000, 30000])
def test_scores_stay_within_the_budget(budget):
    for tile in cut_tiles((40, 20), 3, 4, budget, CPU):
        rows, columns, keys, across = (
            axis.stop - axis.start for axis in tile[:4]
        )
        scores = keys * across * tile.stored * columns
        assert rows == 1 or scores <= budget


def test_most_products_are_needed():
    """What is computed beyond the disc is bounded."""
    made = sum(
        4 * (tile.key_columns.stop - tile.key_columns.start) * len(span)
        for tile in cut_tiles((60, 108), 12, 4, 10**9, CPU)
        for span in tile.spans
    )
    needed = sum(
        (60 - abs(dy)) * (108 - abs(dx))
        for dy in range(-11, 12)
        for dx in range(-11, 12)
        if dy * dy + dx * dx < 144
    )
    assert 1 < made / needed < 1.45
