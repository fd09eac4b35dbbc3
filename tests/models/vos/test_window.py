import math

import numpy as np
import pytest
import torch

from hvc_mm.models.vos.window import Window, cut_tiles, in_window

CPU = torch.device('cpu')


def test_the_window_is_a_disc_or_a_square_with_or_without_its_edge():
    offsets = torch.arange(-2, 3)

    def cells(*window):
        return in_window(offsets[:, None], offsets, Window(*window)).sum()

    assert cells(2) == 9 and cells(2.01) == 13
    assert cells(2, 'disc', True) == 13
    assert cells(1, 'disc', True) == 5 and cells(1) == 1
    assert cells(2, 'square') == 9 and cells(2, 'square', True) == 25
    assert cells(1.5, 'square') == cells(1.5, 'square', True) == 9
    for unlimited in (None, math.inf):
        assert cells(unlimited) == cells(unlimited, 'square', True) == 25


CASES = [
    (1, 1, Window(2), 4, 10**9),
    (9, 13, Window(0.5), 4, 10**9),
    (9, 13, Window(3), 4, 10**9),
    (9, 13, Window(3, 'disc', True), 4, 10**9),
    (9, 13, Window(3, 'square', True), 4, 10**9),
    (9, 13, Window(3), 4, 400),  # several bands of rows
    (9, 13, Window(3, 'square', True), 4, 400),
    (30, 3, Window(4), 4, 10**9),  # narrower than a tile
    (5, 6, Window(40), 3, 10**9),  # smaller than the window
    (7, 9, Window(math.sqrt(5)), 2, 10**9),
    (12, 5, Window(None), 2, 300),
    (40, 6, Window(5.5, 'square'), 8, 1),  # no budget at all: single rows
]


@pytest.mark.parametrize('height, width, window, columns, budget', CASES)
def test_every_pair_within_the_window_is_listed_once(
    height, width, window, columns, budget
):
    """Enumerate, for each query, the keys that the tables lead to."""
    done = set()
    for tile in cut_tiles((height, width), window, columns, budget, CPU):
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
            every = torch.arange(height)[:, None], torch.arange(width)
            inside = in_window(every[0] - y, every[1] - x, window)
            assert keys == {tuple(key) for key in inside.nonzero().tolist()}
            done.add((y, x))
    assert len(done) == height * width


@pytest.mark.parametrize('budget', [300, 3000, 30000])
def test_scores_stay_within_the_budget(budget):
    for tile in cut_tiles((40, 20), Window(3), 4, budget, CPU):
        rows, columns, keys, across = (
            axis.stop - axis.start for axis in tile[:4]
        )
        scores = keys * across * tile.stored * columns
        assert rows == 1 or scores <= budget


def test_most_products_are_needed():
    """What is computed beyond the disc is bounded."""
    made = sum(
        4 * (tile.key_columns.stop - tile.key_columns.start) * len(span)
        for tile in cut_tiles((60, 108), Window(12), 4, 10**9, CPU)
        for span in tile.spans
    )
    needed = sum(
        (60 - abs(dy)) * (108 - abs(dx))
        for dy in range(-11, 12)
        for dx in range(-11, 12)
        if dy * dy + dx * dx < 144
    )
    assert 1 < made / needed < 1.45
