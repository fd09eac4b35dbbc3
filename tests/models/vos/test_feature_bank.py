import torch

from hvc_mm.models.vos import feature_bank
from hvc_mm.models.vos.feature_bank import FeatureBank
from hvc_mm.models.vos.windowed_search import Candidates

GRID, CHANNELS, SLOTS, TOPK = (2, 5), 6, 3, 3


def test_scores_are_made_again_by_the_features_as_they_came(monkeypatch):
    # Several chunks of queries.
    monkeypatch.setattr(feature_bank, 'BUDGET', 3 * 8 * CHANNELS)
    torch.manual_seed(0)
    frames = torch.randn(7, *GRID, CHANNELS)
    bank = FeatureBank(frames[0], SLOTS)
    for time, frame in enumerate(frames):
        bank.write(time, frame)
        if time in (0, 5):
            bank.add_reference(frame)
    queries = torch.randn(*GRID, CHANNELS)

    def rounded(count):
        cells = torch.stack([torch.randperm(count)[:8] for _ in range(10)])
        scores = torch.zeros(10, 8)
        scores[3, 2:] = float('-inf')
        return Candidates(scores, cells)

    ring, first, second = rounded(30), rounded(10), rounded(10)
    found = bank.rescore([ring], queries, TOPK)
    for place, one in enumerate((first, second)):
        found.append(bank.rescore_reference(place, one, queries, TOPK))
    # The ring of three ends with frames 6, 4, 5.
    for given, one, keys in zip(
        (ring, first, second), found, (frames[[6, 4, 5]], frames[0], frames[5])
    ):
        scores = queries.flatten(0, 1) @ keys.reshape(-1, CHANNELS).t()
        expected = scores.gather(1, given.cells)
        expected[3, 2:] = float('-inf')
        kept, order = one.scores.sort(dim=1, descending=True)
        torch.testing.assert_close(kept, expected.topk(TOPK)[0])
        real = kept > float('-inf')
        assert (~real).sum() == 1, 'one candidate was missing'
        chosen = scores.gather(1, one.cells.gather(1, order))
        torch.testing.assert_close(chosen[real], kept[real])
