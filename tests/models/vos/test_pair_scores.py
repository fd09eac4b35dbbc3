import subprocess
import sys
import warnings

import torch

from hvc_mm.models.vos.pair_scores import best_pairs, score_pairs


def test_scores_of_pairs():
    generator = torch.Generator().manual_seed(0)
    keys = torch.randn(3, 4, 5, 6, generator=generator)
    queries = torch.randn(2, 6, generator=generator)
    cells = torch.tensor([7, 59, 0, 13])
    found = score_pairs(queries, keys, torch.tensor([1, 3]), cells)
    table = keys.permute(2, 0, 1, 3).reshape(60, 6)
    expected = (table[cells] * queries[[0, 1, 1, 1]]).sum(dim=1)
    torch.testing.assert_close(found, expected)
    none = torch.zeros(0, dtype=torch.int64)
    assert not len(score_pairs(queries, keys, torch.zeros(2).long(), none))


def test_the_best_of_each_query_that_are_not_worse():
    keys = torch.tensor([1.0, 5.0, 3.0, 4.0, 2.0]).view(1, 5, 1, 1)
    queries = torch.ones(3, 1)
    cells = torch.tensor([0, 1, 2, 3, 4, 1, 0])
    counts, worst = torch.tensor([5, 0, 2]), torch.tensor([2.0, 0.0, 3.0])
    found = best_pairs(queries, keys, counts, cells, worst, 3)
    scores, order = found.scores.sort(dim=1, descending=True)
    nothing = float('-inf')
    assert scores.tolist() == [[5, 4, 3], [nothing] * 3, [5, nothing, nothing]]
    cells = found.cells.gather(1, order)
    assert cells[0].tolist() == [1, 3, 2] and cells[2, 0] == 1


def test_filters_of_warnings_are_left_alone(monkeypatch):
    """They are the process's, and other threads may be within."""
    keys, queries = torch.ones(1, 2, 1, 3), torch.ones(1, 3)
    one = torch.ones(1, dtype=torch.int64)
    score_pairs(queries, keys, one, one)
    with monkeypatch.context() as patch:
        patch.delattr(warnings, 'catch_warnings')
        patch.delattr(warnings, 'simplefilter')
        found = score_pairs(queries, keys, one, one)
    assert found.tolist() == [3]


def test_torch_is_not_heard_to_warn():
    code = (
        'import torch; from hvc_mm.models.vos.pair_scores import score_pairs;'
        'one = torch.ones(1, dtype=torch.int64);'
        'score_pairs(torch.ones(1, 3), torch.ones(1, 2, 1, 3), one, one)'
    )
    command = [sys.executable, '-c', code]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert 'beta' not in run.stderr
