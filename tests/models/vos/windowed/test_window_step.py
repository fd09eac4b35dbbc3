import pytest
import torch

from hvc_mm.models.vos.propagation import outside_disc
from hvc_mm.models.vos.windowed import Segment, Tiling, WindowStep

CPU = torch.device('cpu')


def expected(keys, queries, radius, segment, k):
    """Top-k over all cells of the segment's frames, masked by the disc."""
    height, width, _, _ = keys.shape
    some = keys[:, :, segment.start : segment.stop]
    some = some.permute(2, 0, 1, 3).flatten(1, 2)  # (L, hw, C)
    scores = queries.flatten(0, 1) @ some.transpose(1, 2)  # (L, hw, hw)
    if radius is not None:
        cells = torch.arange(height * width)
        far = outside_disc(cells, height, width, radius)
        scores.masked_fill_(far, float('-inf'))
    scores = scores.transpose(0, 1).flatten(1)
    kept, index = scores.topk(min(k, scores.shape[1]), dim=1)
    return kept, index + segment.start * height * width


@pytest.mark.parametrize('row_by_row', [True, False])
@pytest.mark.parametrize('budget', [10**9, 300])
@pytest.mark.parametrize(
    'height, width, radius, topk',
    [
        (9, 11, 3, 4),
        (9, 11, 3, 500),
        (12, 10, 2.5, 1),
        (4, 5, None, 6),
        (30, 3, 4, 5),
        (3, 13, 1, 15),
    ],
)
def test_equals_masked_topk(height, width, radius, topk, budget, row_by_row):
    generator = torch.Generator().manual_seed(0)
    size = {'generator': generator, 'dtype': torch.float64}
    keys = torch.randn(height, width, 5, 6, **size)
    queries = torch.randn(height, width, 6, **size)
    tiling = Tiling(height, width, radius, 4, budget, CPU)
    step = WindowStep(tiling, topk, row_by_row)
    segments = [Segment(0, 0, 2), Segment(2, 2, 3), Segment(3, 3, 5)]
    for _ in range(2):  # the second round reuses memory
        results = step(keys, queries, segments)
        for segment, found in zip(segments, results):
            scores, cells = expected(keys, queries, radius, segment, topk)
            k = scores.shape[1]
            kept, order = found.scores.sort(dim=1, descending=True)
            torch.testing.assert_close(kept[:, :k], scores)
            assert (kept[:, k:] == float('-inf')).all()
            real = scores > float('-inf')
            same = found.cells.gather(1, order)[:, :k][real] == cells[real]
            assert same.all()
        queries = torch.randn(height, width, 6, **size)


def test_part_of_a_ring():
    """Keys that are a view with other frames between."""
    keys = torch.randn(5, 6, 4, 3)
    queries = torch.randn(5, 6, 3)
    step = WindowStep(Tiling(5, 6, 2, 4, 10**9, CPU), 3, True)
    (whole,) = step(keys[:, :, :2], queries, [Segment(0, 0, 2)])
    (copied,) = step(keys[:, :, :2].clone(), queries, [Segment(0, 0, 2)])
    torch.testing.assert_close(whole.scores, copied.scores)
    assert torch.equal(whole.cells, copied.cells)
