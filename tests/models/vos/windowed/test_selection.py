import pytest
import torch

from hvc_mm.models.vos.windowed import Candidates, best, blend, join, widen

NOTHING = float('-inf')


def test_best_takes_what_there_is():
    scores = torch.tensor([[1.0, 3.0, 2.0]])
    values, index = best(scores, 2, ordered=True)
    assert values.tolist() == [[3, 2]] and index.tolist() == [[1, 2]]
    assert best(scores, 9)[0].shape == (1, 3)


def by_copies(parts, counts, topk, temperature):
    """Every copy made, as the context list has it."""
    scores = torch.cat(
        [part.scores for part, m in zip(parts, counts) for _ in range(m)], 1
    )
    cells = torch.cat(
        [part.cells for part, m in zip(parts, counts) for _ in range(m)], 1
    )
    kept, order = scores.topk(min(topk, scores.shape[1]), dim=1)
    weights = torch.zeros(len(scores), int(cells.max()) + 1).double()
    weights.scatter_add_(
        1, cells.gather(1, order), (kept / temperature).softmax(1)
    )
    return weights


@pytest.mark.parametrize('topk', [1, 2, 3, 7, 15, 40])
@pytest.mark.parametrize('counts', [(1,), (1, 4), (1, 1, 3), (1, 50, 2)])
def test_counted_copies_equal_made_ones(counts, topk):
    generator = torch.Generator().manual_seed(topk)
    parts = [
        Candidates(
            torch.rand(6, 5, generator=generator).double(),
            torch.arange(5).expand(6, 5) + 5 * i,
        )
        for i in range(len(counts))
    ]
    expected = by_copies(parts, counts, topk, 0.1)
    weights, cells = join(parts, counts, topk, 0.1)
    found = torch.zeros_like(expected).scatter_add_(1, cells, weights)
    torch.testing.assert_close(found, expected)
    assert weights.shape[1] <= topk


def test_copies_of_single_candidates():
    """One set whose frames stand in the context differently often."""
    parts = [
        Candidates(torch.rand(6, 5).double(), torch.arange(5).expand(6, 5)),
        Candidates(torch.rand(6, 4).double(), torch.arange(5, 9).expand(6, 4)),
    ]
    counts = torch.tensor([3, 1, 1, 3, 1]).expand(6, 5)
    apart = [
        Candidates(scores, cells)
        for part in parts
        for scores, cells in zip(
            part.scores.split(1, 1), part.cells.split(1, 1)
        )
    ]
    for topk in (1, 4, 7, 20):
        expected = by_copies(apart, [3, 1, 1, 3, 1, 2, 2, 2, 2], topk, 0.1)
        weights, cells = join(parts, [counts, 2], topk, 0.1)
        found = torch.zeros_like(expected).scatter_add_(1, cells, weights)
        torch.testing.assert_close(found, expected)


def test_missing_candidates_weigh_nothing():
    part = Candidates(
        torch.tensor([[0.5, NOTHING, 0.3]]), torch.tensor([[4, 0, 2]])
    )
    weights, cells = join([part, part], [1, 3], 15, 0.1)
    assert not weights.isnan().any()
    assert set(cells[weights > 0].tolist()) == {2, 4}
    torch.testing.assert_close(weights.sum(1), torch.ones(1))


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_blend(dtype):
    table = torch.rand(7, 3, dtype=dtype)
    weights = torch.rand(4, 5)
    cells = torch.randint(0, 7, (4, 5))
    expected = (table[cells] * weights[..., None].to(dtype)).sum(1)
    torch.testing.assert_close(blend(table, weights, cells), expected)


def test_widen():
    for narrow in (torch.float16, torch.bfloat16):
        assert widen(torch.ones(1, dtype=narrow)).dtype == torch.float32
    for wide in (torch.float32, torch.float64):
        values = torch.ones(1, dtype=wide)
        assert widen(values) is values
