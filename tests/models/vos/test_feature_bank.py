import pytest
import torch

from hvc_mm.models.vos import feature_bank
from hvc_mm.models.vos.feature_bank import FeatureBank
from hvc_mm.models.vos.window import in_window

GRID, CHANNELS, SLOTS, TOPK = (4, 15), 6, 3, 3


def expected(queries, keys, radius=None):
    """The best scores over frames ``(L, h, w, C)``, in full precision."""
    cells = torch.arange(GRID[0] * GRID[1])
    dy = cells[:, None] // GRID[1] - cells // GRID[1]
    dx = cells[:, None] % GRID[1] - cells % GRID[1]
    scores = queries.flatten(0, 1) @ keys.flatten(1, 2).transpose(1, 2)
    scores.masked_fill_(~in_window(dy, dx, radius), float('-inf'))
    return scores.transpose(0, 1).flatten(1).topk(TOPK, dim=1)[0]


@pytest.mark.parametrize('dtype', [None, torch.bfloat16])
@pytest.mark.parametrize('radius', [None, 3, 1])
def test_scores_are_those_of_the_features_as_they_came(
    dtype, radius, monkeypatch
):
    # Several chunks of queries.
    monkeypatch.setattr(feature_bank, 'BUDGET', 3 * 8 * CHANNELS)
    torch.manual_seed(0)
    frames = torch.randn(7, *GRID, CHANNELS)
    bank = FeatureBank(frames[0], radius, TOPK, SLOTS, dtype)
    for time, frame in enumerate(frames):
        bank.write(time, frame)
        if time in (0, 5):
            bank.add_reference(frame)
    queries = torch.randn(*GRID, CHANNELS)
    first, second = bank.find(7, queries, [0, 6])
    # The ring holds frames 4 to 6; the second reference counts 6 alone.
    for (own, *latest), key, since in ((first, 0, 4), (second, 5, 6)):
        scores = torch.cat([one.scores for one in latest], dim=1)
        kept, _ = scores.sort(dim=1, descending=True)
        wanted = expected(queries, frames[since:], radius)
        torch.testing.assert_close(kept[:, :TOPK], wanted)
        kept, _ = own.scores.sort(dim=1, descending=True)
        torch.testing.assert_close(
            kept[:, :TOPK], expected(queries, frames[key : key + 1])
        )
        products = queries.flatten(0, 1) @ frames[key].flatten(0, 1).t()
        torch.testing.assert_close(own.scores, products.gather(1, own.cells))


def test_a_window_of_one_cell_gives_fewer_candidates():
    frame = torch.randn(*GRID, CHANNELS)
    bank = FeatureBank(frame, 1, TOPK, SLOTS, torch.bfloat16)
    bank.write(0, frame)
    bank.add_reference(frame)
    ((_, latest),) = bank.find(1, frame, [0])
    assert (latest.scores == float('-inf')).sum(dim=1).eq(TOPK - 1).all()
