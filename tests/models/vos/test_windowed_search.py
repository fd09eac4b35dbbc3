import pytest
import torch

from hvc_mm.models.vos import windowed_search
from hvc_mm.models.vos.window import Window, in_window
from hvc_mm.models.vos.windowed_search import (
    GROUP,
    Segment,
    WindowedSearch,
)


def _noise(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def _search(frame, radius=2, topk=4, slots=4, dtype=torch.float64):
    return WindowedSearch(frame, Window(radius), topk, slots, dtype)


def _expected(keys, queries, radius, segment, k):
    """Top-k over all cells of the segment's frames within the window."""
    height, width = keys.shape[:2]
    some = keys[:, :, segment.start : segment.stop]
    some = some.permute(2, 0, 1, 3).flatten(1, 2)  # (L, hw, C)
    scores = queries.flatten(0, 1) @ some.transpose(1, 2)  # (L, hw, hw)
    cells = torch.arange(height * width)
    dy = cells[:, None] // width - cells // width
    dx = cells[:, None] % width - cells % width
    scores.masked_fill_(~in_window(dy, dx, Window(radius)), float('-inf'))
    scores = scores.transpose(0, 1).flatten(1)
    kept, index = scores.topk(min(k, scores.shape[1]), dim=1)
    return kept, index + segment.start * height * width


@pytest.mark.parametrize('row_by_row', [True, False], ids=['CPU', 'GPU'])
@pytest.mark.parametrize('budget', [64 << 20, 6 * 8 * 300])
@pytest.mark.parametrize(
    'grid, radius, topk',
    [
        ((9, 11), 3, 4),
        ((9, 11), 3, 500),
        ((12, 10), 2.5, 1),
        ((4, 5), None, 6),
        ((30, 3), 4, 5),
        ((3, 13), 1, 15),
    ],
)
def test_in_window_is_top_k_within_the_window(
    grid, radius, topk, budget, row_by_row, monkeypatch
):
    monkeypatch.setattr(windowed_search, 'CPU_BUDGET', budget)
    frames = _noise(5, *grid, 6)
    search = _search(frames[0], radius, topk, slots=6)
    search.row_by_row = row_by_row
    # The last slot isn't live.
    for time, frame in enumerate(frames):
        search.write(time, frame)
    keys = search.keys[:, :, :5]
    segments = [Segment(0, 0, 2), Segment(2, 2, 3), Segment(3, 3, 5)]
    for seed in (1, 2):  # the second round reuses memory
        queries = _noise(*grid, 6, seed=seed)
        results = search.in_window(queries, segments)
        for segment, found in zip(segments, results):
            scores, cells = _expected(keys, queries, radius, segment, topk)
            k = scores.shape[1]
            kept, order = found.scores.sort(dim=1, descending=True)
            torch.testing.assert_close(kept[:, :k], scores)
            assert (kept[:, k:] == float('-inf')).all()
            real = scores > float('-inf')
            same = found.cells.gather(1, order)[:, :k][real] == cells[real]
            assert same.all()
    tallest = max(tile.rows.stop - tile.rows.start for tile in search.tiles)
    assert tallest == 1 or 8 * search._scratch.numel() <= budget


# One group, a whole number of groups, a part of one left over.
@pytest.mark.parametrize('grid', [(1, 1), (5, 7), (8, GROUP // 4), (9, 11)])
@pytest.mark.parametrize('topk', [1, 4, 200])
def test_anywhere_is_top_k_over_all_cells(grid, topk, monkeypatch):
    monkeypatch.setattr(windowed_search, 'CHUNK', 4)
    keys, queries = _noise(*grid, 6), _noise(*grid, 6, seed=1)
    found = _search(keys, topk=topk).anywhere(keys, queries)
    scores = queries.flatten(0, 1) @ keys.flatten(0, 1).t()
    k = min(topk, scores.shape[1])
    assert found.scores.shape == found.cells.shape == (len(scores), k)
    kept, _ = found.scores.sort(dim=1, descending=True)
    torch.testing.assert_close(kept, scores.topk(k, dim=1)[0])
    torch.testing.assert_close(scores.gather(1, found.cells), found.scores)
    assert all(len(set(row)) == k for row in found.cells.tolist())


def test_scores_below_zero_beat_the_padding_of_a_group():
    keys = -torch.ones(1, GROUP + 1, 1).double()
    found = _search(keys, topk=GROUP + 1).anywhere(keys, -keys)
    assert (found.scores == -1).all() and found.cells.max() == GROUP


def test_scores_that_overflow_are_no_cells_beside_the_grid():
    frame = torch.ones(3, 4, 2, dtype=torch.float32)
    search = _search(frame, dtype=torch.float32)
    queries = frame.clone()
    queries[1, 1] = -3e38
    found = search.anywhere(10 * frame, queries)
    assert found.cells.max() < 12
    assert (found.scores[5] == -torch.inf).all() and not found.cells[5].any()
    assert (found.scores[4] == 20).all()
