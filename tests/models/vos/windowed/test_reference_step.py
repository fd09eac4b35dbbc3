import pytest
import torch

from hvc_mm.models.vos.windowed import reference_step
from hvc_mm.models.vos.windowed.reference_step import GROUP


# One group, a whole number of groups, a part of one left over.
@pytest.mark.parametrize('grid', [(1, 1), (5, 7), (8, GROUP // 4), (9, 11)])
@pytest.mark.parametrize('topk', [1, 4, 200])
def test_equals_topk_over_all_cells(grid, topk):
    generator = torch.Generator().manual_seed(0)
    size = {'generator': generator, 'dtype': torch.float64}
    keys = torch.randn(*grid, 6, **size)
    queries = torch.randn(10, 6, **size)
    found = reference_step(keys, queries, topk, chunk=4)
    scores = queries @ keys.flatten(0, 1).t()
    k = min(topk, scores.shape[1])
    assert found.scores.shape == found.cells.shape == (10, k)
    expected, _ = scores.topk(k, dim=1)
    torch.testing.assert_close(
        found.scores.sort(dim=1, descending=True)[0], expected
    )
    torch.testing.assert_close(scores.gather(1, found.cells), found.scores)
    assert all(len(set(row)) == k for row in found.cells.tolist())


def test_scores_below_zero_beat_the_padding():
    keys = -torch.ones(1, GROUP + 1, 1)
    found = reference_step(keys, torch.ones(2, 1), GROUP + 1)
    assert (found.scores == -1).all()
    assert found.cells.max() == GROUP
