import pytest
import torch

from hvc_mm.bridges.instance_tracks import InstanceTracks

SIZE = (12, 24)


def _box(left, right, top=0, bottom=12):
    mask = torch.zeros(SIZE, dtype=torch.bool)
    mask[top:bottom, left:right] = True
    return mask


LEFT, MIDDLE, RIGHT = _box(0, 6), _box(8, 14), _box(16, 22)


def _confirm(tracks, *detections):
    """Give detections ``(mask, label, score[, view])``; paint what has to
    be."""
    masks = [detection[0] for detection in detections]
    views = [torch.tensor(d[3]).float() for d in detections if len(d) > 3]
    renewed, began = tracks.confirm(
        torch.stack(masks) if masks else torch.zeros((0, *SIZE)).bool(),
        torch.tensor([d[1] for d in detections], dtype=torch.long),
        torch.tensor([d[2] for d in detections]),
        torch.stack(views) if views else None,
    )
    if renewed:
        return tracks.paint()
    return tracks.paint(began) if began else None


def _ids(tracks):
    return {t.id: t.mask.nonzero()[:, 1].min().item() for t in tracks.visible}


def test_identities_follow_masks_not_the_order_of_detections():
    tracks = InstanceTracks()
    _confirm(tracks, (LEFT, 1, 0.9), (RIGHT, 1, 0.8))
    assert _ids(tracks) == {0: 0, 1: 16}
    # They move by two columns; the detector names them the other way round.
    slots = torch.zeros(SIZE, dtype=torch.uint8)
    for track in tracks.tracks:
        slots[torch.roll(track.mask, 2, dims=1)] = track.slot
    tracks.update(slots)
    assert _ids(tracks) == {0: 2, 1: 18}
    _confirm(tracks, (_box(18, 24), 1, 0.95), (_box(2, 8), 1, 0.6))
    assert _ids(tracks) == {0: 2, 1: 18}
    assert [t.score for t in tracks.tracks] == pytest.approx([0.6, 0.95])
    assert tracks.count == 2


def test_who_begins_and_who_is_confirmed():
    tracks = InstanceTracks(init_score_thr=0.5)
    twice = (_box(0, 5), 2, 0.7), (LEFT, 1, 0.9)
    _confirm(tracks, *twice, (RIGHT, 1, 0.4), (LEFT & RIGHT, 1, 0.9))
    # Found twice it begins once; a weak or an empty detection begins none.
    assert [(t.id, t.label) for t in tracks.tracks] == [(0, 1)]
    _confirm(tracks, (RIGHT, 3, 0.9), (LEFT, 1, 0.4))
    assert _ids(tracks) == {0: 0, 1: 16}
    assert [t.label for t in tracks.tracks] == [1, 3]
    # A weak one confirms.
    assert tracks.tracks[0].unconfirmed == 0
    assert tracks.tracks[0].score == pytest.approx(0.4)
    tracks.reset()
    assert len(tracks) == 0
    _confirm(tracks, (RIGHT, 1, 0.9))
    assert _ids(tracks) == {0: 16}


def test_unconfirmed_tracks_end():
    tracks = InstanceTracks(max_unconfirmed=1)
    _confirm(tracks, (LEFT, 1, 0.9), (RIGHT, 1, 0.9))
    _confirm(tracks, (LEFT, 1, 0.9))
    assert set(_ids(tracks)) == {0, 1}
    _confirm(tracks, (LEFT, 1, 0.9))
    assert set(_ids(tracks)) == {0}
    # What comes back later is somebody else.
    _confirm(tracks, (LEFT, 1, 0.9), (RIGHT, 1, 0.9))
    assert set(_ids(tracks)) == {0, 2}


@pytest.mark.parametrize('renew', [True, False])
def test_lost_objects_are_found_by_their_views(renew):
    tracks = InstanceTracks(max_unconfirmed=0, renew=renew, reid_thr=0.5)
    _confirm(tracks, (LEFT, 1, 0.9, [1, 0]), (RIGHT, 1, 0.8, [0, 1]))
    _confirm(tracks)
    assert len(tracks) == 0 and [t.id for t in tracks.lost] == [0, 1]
    # Each is nearer to the first one; only the sum is largest this way.
    slots = _confirm(
        tracks, (MIDDLE, 1, 0.9, [0.8, 0.6]), (RIGHT, 1, 0.9, [1, 0])
    )
    assert _ids(tracks) == {0: 16, 1: 8}
    assert tracks.lost == [] and tracks.count == 2
    for track in tracks.tracks:
        assert torch.equal(slots == track.slot, track.mask)
        assert not (track.absent or track.unconfirmed)
    # The latest views count as well.
    _confirm(tracks)
    _confirm(tracks, (LEFT, 1, 0.9, [0.8, 0.6]))
    assert _ids(tracks) == {1: 0}


def test_a_track_that_drifted_is_found_elsewhere():
    tracks = InstanceTracks(max_unconfirmed=5)
    _confirm(tracks, (LEFT, 1, 0.9, [1, 0]), (MIDDLE, 1, 0.8, [0, 1]))
    _confirm(tracks, (MIDDLE, 1, 0.9, [0, 1]), (RIGHT, 1, 0.9, [1, 0]))
    assert _ids(tracks) == {0: 16, 1: 8}


@pytest.mark.parametrize(
    'options, found',
    [
        (dict(reid_thr=0.5), (RIGHT, 1, 0.9, [0.4, 0.9])),  # looks different
        (dict(reid_thr=None), (RIGHT, 1, 0.9, [1.0, 0])),
        (dict(), (RIGHT, 2, 0.9, [1.0, 0])),  # another class
        (dict(), (RIGHT, 1, 0.9)),  # looks like nothing
    ],
)
def test_who_is_not_found_again(options, found):
    tracks = InstanceTracks(max_unconfirmed=0, **options)
    _confirm(tracks, (LEFT, 1, 0.9, [1.0, 0]))
    _confirm(tracks)
    _confirm(tracks, found)
    assert _ids(tracks) == {1: 16}
    # A weak detection is nobody.
    _confirm(tracks)
    _confirm(tracks, (LEFT, 1, 0.4, [1.0, 0]))
    assert len(tracks) == 0
    tracks.reset()
    _confirm(tracks, (LEFT, 1, 0.9, [1.0, 0]))
    assert tracks.lost == [] and _ids(tracks) == {0: 0}


def test_classes_may_differ_where_labels_are_not_matched():
    tracks = InstanceTracks(max_unconfirmed=0, match_labels=False)
    _confirm(tracks, (LEFT, 1, 0.9, [1.0, 0]))
    _confirm(tracks)
    _confirm(tracks, (RIGHT, 2, 0.9, [1.0, 0]))
    assert _ids(tracks) == {0: 16}


def test_the_latest_lost_ones_are_kept():
    tracks = InstanceTracks(max_unconfirmed=0)
    for index in range(120):
        view = torch.eye(120)[index].tolist()
        _confirm(tracks, (LEFT if index % 2 else RIGHT, 1, 0.9, view))
    assert [t.id for t in tracks.lost] == list(range(19, 119))
    assert all(t.mask.numel() == 0 for t in tracks.lost)


def test_a_detection_in_between_starts_the_count_anew():
    tracks = InstanceTracks(max_unconfirmed=1)
    for found in (True, False, True, False, True):
        slots = _confirm(tracks, *([(LEFT, 1, 0.9)] if found else []))
        assert (slots is None) != found
        assert torch.equal(tracks.tracks[0].mask, LEFT)
    assert _ids(tracks) == {0: 0} and tracks.count == 1


def test_absent_tracks_are_hidden_and_end():
    tracks = InstanceTracks(max_absent=2)
    slots = _confirm(tracks, (LEFT, 1, 0.9), (RIGHT, 1, 0.8))
    lone = torch.where(slots == tracks.tracks[0].slot, slots, 0 * slots)
    for _ in range(2):
        tracks.update(lone)
        assert set(_ids(tracks)) == {0} and len(tracks) == 2
    tracks.update(slots)
    assert set(_ids(tracks)) == {0, 1}
    for _ in range(3):
        tracks.update(lone)
    assert set(_ids(tracks)) == {0} and len(tracks) == 1


@pytest.mark.parametrize(
    'options, label, found',
    [
        # The same place under another class neither confirms nor begins.
        (dict(match_labels=True, max_unconfirmed=0), 2, (1, 2, 0.9)),
        (dict(match_labels=True, max_unconfirmed=1), 2, (0, 1, 0.8)),
        (dict(match_labels=False), 2, (0, 1, 0.9)),
    ],
)
def test_classes_are_kept_apart(options, label, found):
    tracks = InstanceTracks(**options)
    _confirm(tracks, (LEFT, 1, 0.8))
    slots = _confirm(tracks, (LEFT, label, 0.9))
    assert (slots is None) == (options.get('max_unconfirmed') == 1)
    (track,) = tracks.tracks
    assert (track.id, track.label, track.score) == pytest.approx(found)


def test_no_pixel_has_two_owners():
    tracks = InstanceTracks(iou_thr=0.9, begin_iou_thr=0.9)
    slots = _confirm(tracks, (_box(0, 10), 1, 0.7), (_box(6, 16), 1, 0.9))
    low, high = sorted(tracks.tracks, key=lambda t: t.score)
    assert torch.equal(high.mask, _box(6, 16))
    assert torch.equal(low.mask, _box(0, 6))
    assert torch.equal(slots > 0, _box(0, 16))
    assert sorted(slots.unique().tolist()) == [0, 1, 2]


def test_confirmed_tracks_cover_unconfirmed_ones():
    tracks = InstanceTracks(iou_thr=0.9, begin_iou_thr=0.9)
    _confirm(tracks, (_box(0, 10), 1, 0.99))
    _confirm(tracks, (_box(6, 16), 1, 0.6))
    old, new = tracks.tracks
    assert torch.equal(new.mask, _box(6, 16))
    assert torch.equal(old.mask, _box(0, 6))


def test_covered_objects_are_hidden():
    tracks = InstanceTracks(iou_thr=0.9, begin_iou_thr=0.9)
    _confirm(tracks, (_box(2, 4), 1, 0.6), (LEFT, 1, 0.9))
    assert len(tracks) == 2 and len(tracks.visible) == 1


def test_masks_stay_without_renewal():
    tracks = InstanceTracks(renew=False, max_unconfirmed=0)
    _confirm(tracks, (LEFT, 1, 0.9))
    assert _confirm(tracks, (_box(0, 5), 1, 0.8)) is None
    assert torch.equal(tracks.tracks[0].mask, LEFT)
    assert tracks.tracks[0].score == pytest.approx(0.8)


def test_new_objects_are_painted_without_renewal():
    tracks = InstanceTracks(renew=False)
    _confirm(tracks, (LEFT, 1, 0.9))
    slots = _confirm(tracks, (_box(0, 5), 1, 0.8), (_box(4, 14), 2, 0.7))
    old, new = tracks.tracks
    # Only the new object is painted, over the others; slots stay.
    assert (old.slot, new.slot) == (1, 2)
    assert torch.equal(slots, _box(4, 14).byte() * 2)
    assert torch.equal(old.mask, _box(0, 4))
    assert torch.equal(new.mask, _box(4, 14))


def test_slots_run_out():
    tracks = InstanceTracks(renew=False, max_unconfirmed=0)
    _confirm(tracks, (LEFT, 1, 0.9))
    for count in range(1, 255):
        # The first one stays, the other is somebody else every time.
        other = (RIGHT if count % 2 else MIDDLE, 1, 0.8)
        _confirm(tracks, (LEFT, 1, 0.9), other)
    # Ended tracks keep their slots as long as theirs is propagated.
    assert [track.slot for track in tracks.tracks] == [1, 255]
    masks = torch.stack([LEFT, RIGHT])
    _, began = tracks.confirm(masks, torch.tensor([1, 1]), torch.ones(2))
    assert len(began) == 1 and not tracks.has_room(began)
    with pytest.raises(ValueError, match='objects at once'):
        tracks.paint(began)
    tracks.paint()
    assert sorted(track.slot for track in tracks.tracks) == [1, 2]


def test_without_others_there_is_nothing_to_add_to():
    tracks = InstanceTracks(renew=False, max_unconfirmed=0)
    _confirm(tracks, (LEFT, 1, 0.9))
    masks, ones = RIGHT[None], torch.ones(1)
    _, began = tracks.confirm(masks, ones.long(), ones)
    assert tracks.tracks == began and not tracks.has_room(began)


def test_more_objects_than_an_id_map_holds():
    tracks = InstanceTracks(iou_thr=1.0, begin_iou_thr=1.0)
    cells = [torch.zeros(SIZE, dtype=torch.bool) for _ in range(256)]
    for index, cell in enumerate(cells):
        cell.view(-1)[index] = True
    with pytest.raises(ValueError, match='256 objects at once'):
        _confirm(tracks, *[(cell, 0, 0.9) for cell in cells])


@pytest.mark.parametrize('name', ['iou_thr', 'begin_iou_thr', 'reid_thr'])
@pytest.mark.parametrize('threshold', [0, 1.5])
def test_bad_threshold(name, threshold):
    with pytest.raises(ValueError, match=f'^{name} is {threshold}'):
        InstanceTracks(**{name: threshold})


def test_what_overlaps_a_track_more_than_begin_iou_thr_begins_none():
    # IoU with LEFT: 4 of 8 columns, and 1 of 11.
    for found, began in (
        ((_box(2, 8), 2, 0.9), 0),
        ((_box(5, 11), 2, 0.9), 1),
    ):
        tracks = InstanceTracks(begin_iou_thr=0.3, max_unconfirmed=9)
        _confirm(tracks, (LEFT, 1, 0.9))
        _confirm(tracks, found)
        assert tracks.count == 1 + began
    # It is no bound for a match, which is up to `iou_thr`.
    tracks = InstanceTracks(iou_thr=0.05, begin_iou_thr=0.3)
    _confirm(tracks, (LEFT, 1, 0.9))
    _confirm(tracks, (_box(5, 11), 1, 0.9))
    assert _ids(tracks) == {0: 5}
