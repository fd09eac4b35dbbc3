import torch

from hvc_mm.models.vos.windowed import Candidates, rescore, rescoring


def test_best_of_the_true_scores(monkeypatch):
    # Several chunks of queries.
    monkeypatch.setattr(rescoring, 'BUDGET', 3 * 8 * 5)
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(40, 5, generator=generator)
    queries = torch.randn(2, 5, 5, generator=generator)
    cells = torch.stack(
        [torch.randperm(40, generator=generator)[:8] for _ in range(10)]
    )
    rounded = torch.zeros(10, 8)
    rounded[3, 2:] = float('-inf')
    found = rescore(
        Candidates(rounded, cells), lambda some: table[some], queries, 3
    )
    scores = queries.flatten(0, 1) @ table.t()
    expected = scores.gather(1, cells)
    expected[3, 2:] = float('-inf')
    kept, order = found.scores.sort(dim=1, descending=True)
    torch.testing.assert_close(kept, expected.topk(3)[0])
    real = kept > float('-inf')
    assert (~real).sum() == 1, 'one candidate was missing'
    chosen = scores.gather(1, found.cells.gather(1, order))
    torch.testing.assert_close(chosen[real], kept[real])
