"""The ring of features, the tables of labels, and what is scored again."""

import pytest
import torch

from hvc_mm.models.vos import feature_bank
from hvc_mm.models.vos.feature_bank import FeatureBank
from hvc_mm.models.vos.windowed_search import Candidates

GRID, CHANNELS = (2, 3), 5


def _bank(slots, dtype=torch.float32):
    return FeatureBank(slots, torch.zeros(*GRID, CHANNELS), dtype)


@pytest.mark.parametrize('slots', [1, 2, 5])
def test_segments_cover_the_live_frames_once(slots):
    for time in range(1, 3 * slots + 2):
        for cuts in ([0], [0, time - 1], [0, max(0, time - 2), time - 1]):
            covered = [
                slot
                for one in _bank(slots).segments(time, cuts)
                for slot in range(one.start, one.stop)
            ]
            assert sorted(covered) == list(range(min(time, slots)))


@pytest.mark.parametrize('time', range(1, 12))
def test_a_reference_counts_all_frames_of_a_segment_or_none(time):
    slots = 4
    cuts = [start for start in (0, 3, 5) if start < time]
    live = {t % slots: t for t in range(max(0, time - slots), time)}
    for one in _bank(slots).segments(time, cuts):
        frames = [live[slot] for slot in range(one.start, one.stop)]
        assert one.first == min(frames)
        for start in cuts:
            if start >= min(live.values()):
                assert len({t >= start for t in frames}) == 1


@pytest.mark.parametrize(
    'time, cuts',
    [(10, [0, 5]), (3, [0]), (4, [0]), (5, [1])],
    ids=['long gone', 'young', 'full', 'the oldest'],
)
def test_references_cut_only_what_some_leave_out(time, cuts):
    (one,) = _bank(4).segments(time, cuts)
    assert (one.start, one.stop) == (0, min(time, 4))


@pytest.mark.parametrize('slots', [0, 3])
def test_frames_and_labels_are_where_the_oldest_were(slots):
    bank = _bank(slots, torch.bfloat16)
    frames, labels = torch.rand(7, *GRID, CHANNELS), torch.rand(7, 6, 4)
    bank.add_reference(0, frames[0], labels[0], torch.tensor([1, 3]))
    (reference,) = bank.references
    assert not reference.labels[:-6].any(), 'no frame is written yet'
    for time in range(7):
        bank.write(time, frames[time], labels[time])
    assert torch.equal(reference.keys, frames[0].bfloat16())
    assert torch.equal(reference.features[:, :, 0], frames[0])
    # The ring of three ends with frames 6, 4, 5.
    kept = [6, 4, 5][:slots]
    keys = bank.live_keys(7)
    assert keys.data_ptr() == bank.keys.data_ptr(), 'must not be copied'
    for slot, time in enumerate(kept):
        assert torch.equal(keys[:, :, slot], frames[time].bfloat16())
        assert torch.equal(bank.features[:, :, slot], frames[time])
    expected = labels[[*kept, 0]][..., [1, 3]].flatten(0, 1)
    assert torch.equal(reference.labels, expected)
    if not slots:
        assert bank.segments(7, [0]) == []


def test_rounded_scores_are_made_again(monkeypatch):
    # Several chunks of queries.
    monkeypatch.setattr(feature_bank, 'RESCORE_BUDGET', 3 * 8 * CHANNELS)
    torch.manual_seed(0)
    bank, frames = _bank(4, torch.float16), torch.randn(4, *GRID, CHANNELS)
    for time, frame in enumerate(frames):
        bank.write(time, frame, torch.rand(6, 1))
    queries = torch.randn(10, CHANNELS)
    cells = torch.stack([torch.randperm(24)[:8] for _ in range(10)])
    rounded = torch.zeros(10, 8)
    rounded[3, 2:] = float('-inf')
    found = bank.rescore(Candidates(rounded, cells), queries, 3)
    scores = queries @ frames.flatten(0, 2).t()
    expected = scores.gather(1, cells)
    expected[3, 2:] = float('-inf')
    kept, order = found.scores.sort(dim=1, descending=True)
    torch.testing.assert_close(kept, expected.topk(3)[0])
    real = kept > float('-inf')
    assert (~real).sum() == 1, 'one candidate was missing'
    chosen = scores.gather(1, found.cells.gather(1, order))
    torch.testing.assert_close(chosen[real], kept[real])


def test_exact_scores_stay_and_cells_of_a_reference_follow_the_ring():
    bank, frame = _bank(4), torch.rand(*GRID, CHANNELS)
    bank.add_reference(0, frame, torch.rand(6, 1), torch.tensor([0]))
    found = Candidates(torch.rand(6, 2), torch.randint(6, (6, 2)))
    queries = torch.rand(6, CHANNELS)
    assert bank.rescore(found, queries, 2) is found
    own = bank.rescore(found, queries, 2, bank.references[0])
    assert torch.equal(own.cells, found.cells + 4 * 6)
