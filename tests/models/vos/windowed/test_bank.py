import pytest
import torch

from hvc_mm.models.vos.windowed import FeatureBank, LabelBank, segments_of


def slots_of(segments):
    return [slot for one in segments for slot in range(one.start, one.stop)]


@pytest.mark.parametrize('slots', [1, 2, 5])
@pytest.mark.parametrize('load', [1, 2, 3, 100])
def test_segments_cover_the_live_frames_once(slots, load):
    for time in range(1, 3 * slots + 2):
        for cuts in ([0], [0, time - 1], [0, max(0, time - 2), time - 1]):
            found = segments_of(time, slots, cuts, load)
            assert sorted(slots_of(found)) == list(range(min(time, slots)))
            for one in found:
                assert one.start // load == (one.stop - 1) // load


@pytest.mark.parametrize('time', range(1, 12))
def test_segments_part_at_references(time):
    """A reference counts all frames of a segment or none."""
    slots, cuts = 4, [0, 3, 5]
    cuts = [t0 for t0 in cuts if t0 < time]
    live = {t % slots: t for t in range(max(0, time - slots), time)}
    for one in segments_of(time, slots, cuts, 100):
        frames = [live[slot] for slot in range(one.start, one.stop)]
        for t0 in cuts:
            if t0 >= min(live.values()):
                assert len({t >= t0 for t in frames}) == 1
                assert (one.first >= t0) == (frames[0] >= t0)
                assert (one.first == t0) == (t0 in frames)


@pytest.mark.parametrize(
    'time, cuts',
    [(10, [0, 5]), (3, [0]), (4, [0]), (5, [1])],
    ids=['long gone', 'young', 'full', 'the oldest'],
)
def test_references_cut_only_what_some_leave_out(time, cuts):
    (one,) = segments_of(time, 4, cuts, 100)
    assert (one.start, one.stop) == (0, min(time, 4))


def test_no_slots_no_segments():
    assert segments_of(3, 0, [0], 1) == []


def test_features_are_read_where_they_were_written():
    bank = FeatureBank(3, 2, 4, 5, torch.float32, torch.device('cpu'))
    frames = torch.rand(7, 2, 4, 5)
    for time, frame in enumerate(frames):
        bank.write(time, frame)
    keys = bank.read(0, 3, torch.float32, torch.device('cpu'))
    assert keys.shape == (2, 4, 3, 5)
    for slot, time in enumerate((6, 4, 5)):
        torch.testing.assert_close(keys[:, :, slot], frames[time])
    assert keys.data_ptr() == bank.store.data_ptr(), 'must not be copied'
    # slot * h * w + cell
    cells = torch.tensor([[0, 8 + 7], [2 * 8 + 5, 3]])
    rows = bank.rows(cells)
    torch.testing.assert_close(rows[0, 0], frames[6, 0, 0])
    torch.testing.assert_close(rows[0, 1], frames[4, 1, 3])
    torch.testing.assert_close(rows[1, 0], frames[5, 1, 1])
    torch.testing.assert_close(rows[1, 1], frames[6, 0, 3])


def test_bank_of_another_type():
    bank = FeatureBank(2, 1, 2, 3, torch.bfloat16, torch.device('cpu'))
    frame = torch.rand(1, 2, 3)
    bank.write(1, frame)
    keys = bank.read(1, 2, torch.float32, torch.device('cpu'))
    assert keys.dtype == torch.float32
    torch.testing.assert_close(keys[:, :, 0], frame.bfloat16().float())


def test_labels_of_own_channels_and_zeros_elsewhere():
    labels = torch.rand(4, 2, 3)
    bank = LabelBank(torch.tensor([1, 3]), labels, 2)
    assert bank.table.shape == (3 * 6, 2)
    assert not bank.table[:12].any(), 'no frame is written yet'
    torch.testing.assert_close(bank.table[12:], labels[[1, 3]].flatten(1).t())
    later = torch.rand(5, 2, 3)
    bank.write(7, later)
    torch.testing.assert_close(bank.table[6:12], later[[1, 3]].flatten(1).t())


def test_no_slots():
    bank = FeatureBank(0, 2, 2, 3, torch.float32, torch.device('cpu'))
    bank.write(5, torch.rand(2, 2, 3))
    labels = LabelBank(torch.tensor([0]), torch.rand(1, 2, 2), 0)
    labels.write(5, torch.rand(1, 2, 2))
    assert labels.table.shape == (4, 1)
