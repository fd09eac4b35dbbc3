"""Masks given, propagated and corrected: what the API gives, exactly."""

import numpy as np
import pytest
import torch

from hvc_mm.apis import open_frames, propagate_in_video, video_features
from hvc_mm.visualization import point_affinity


def propagate(work, stop_after=None):
    steps = []
    for step in work.propagate():
        steps.append(step)
        if step.count == stop_after:
            break
    return steps


def expected_ids(model, work, masks):
    """Id masks (T, H, W) as the generator of the API gives them."""
    found = []
    for _, ids, stack in propagate_in_video(model, work.source, masks):
        frame = np.zeros(work.size, np.uint8)
        for object_id, mask in zip(ids, stack):
            frame[mask] = object_id
        found.append(frame)
    return np.stack(found)


def all_ids(work):
    return np.stack([work.ids(t) for t in range(work.length)])


@pytest.fixture
def two(moving_square):
    """The first frame's mask, with a second object in a corner."""
    ids = moving_square[1][0].copy()
    ids[:12, 48:] = 2
    return ids


def test_results_are_those_of_the_api(work, tiny_model, two):
    work.edit(0, two)
    steps = propagate(work)
    assert [step.count for step in steps] == list(range(1, 9))
    assert {step.total for step in steps} == {8}
    assert steps[0].seconds_left > 0 and steps[-1].seconds_left == 0
    expected = expected_ids(tiny_model, work, two)
    np.testing.assert_array_equal(all_ids(work), expected)
    assert set(np.unique(expected)) == {0, 1, 2}
    assert work.done == 8


def test_a_late_first_mask(work, tiny_model, two):
    work.edit(3, two)
    propagate(work)
    expected = expected_ids(tiny_model, work, {3: two})
    np.testing.assert_array_equal(all_ids(work), expected)
    assert not expected[:3].any() and expected[3:].any((1, 2)).all()
    assert work.confidence_map(2) is None
    assert 2 not in work.confidence and set(work.confidence[3]) == {1, 2}


def test_a_correction_goes_on_from_its_frame(work, tiny_model, two):
    work.edit(0, two)
    propagate(work)
    files = sorted((work.folder / 'masks').iterdir())
    before = {path: path.stat().st_mtime_ns for path in files}
    corrected = work.ids(4).copy()
    corrected[corrected == 1] = 0
    corrected[30:44, 20:40] = 1
    work.edit(4, corrected)
    assert work.done == 4
    propagate(work)
    masks = {
        0: {1: two == 1, 2: two == 2},
        4: {1: corrected == 1},
    }
    expected = expected_ids(tiny_model, work, masks)
    np.testing.assert_array_equal(all_ids(work), expected)
    assert (expected[5] == 1).any()
    same = [before[path] == path.stat().st_mtime_ns for path in files]
    assert same == [True] * 4 + [False] * 4


def test_an_erased_object_is_given_as_empty(work, tiny_model, two):
    work.edit(0, two)
    propagate(work)
    erased = np.where(work.ids(3) == 2, 0, work.ids(3)).astype(np.uint8)
    work.edit(3, erased)
    assert set(work.given[3]) == {2} and not work.given[3][2].any()
    propagate(work)
    expected = expected_ids(tiny_model, work, work.prompts())
    np.testing.assert_array_equal(all_ids(work), expected)
    assert not (expected[3] == 2).any()


def test_what_is_given(work, two):
    work.edit(0, np.zeros_like(two))
    assert work.given == {}
    with pytest.raises(ValueError, match='no object yet; paint one first'):
        propagate(work)
    work.edit(0, two)
    np.testing.assert_array_equal(work.ids(0), two)
    # Painted again, then erased before it has begun: not given at all.
    work.edit(0, np.where(two == 2, 0, two).astype(np.uint8))
    assert set(work.prompts()[0]) == {1}
    # An object that overlaps one that was given earlier takes its pixels.
    over = two.copy()
    over[16:24, 8:16] = 3
    work.edit(0, over)
    given = work.given[0]
    assert set(given) == {1, 2, 3} and not (given[1] & given[3]).any()
    work.forget(0)
    assert not work.ids(0).any() and work.prompts() == {}
    with pytest.raises(ValueError, match=r'shape \(4, 4\); expected \(48, 64'):
        work.edit(0, np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match='no frame 8; the last one is 7'):
        work.edit(8, two)


def test_a_stopped_run_keeps_what_is_done(work, tiny_model, two):
    work.edit(0, two)
    propagate(work, stop_after=3)
    assert work.done == 3
    expected = expected_ids(tiny_model, work, two)
    np.testing.assert_array_equal(all_ids(work)[:3], expected[:3])
    assert not all_ids(work)[3:].any()
    propagate(work)
    np.testing.assert_array_equal(all_ids(work), expected)


def test_clearing_a_frame_outdates_the_rest(work, two):
    work.edit(0, two)
    work.edit(4, np.where(two == 1, 3, 0).astype(np.uint8))
    propagate(work)
    work.forget(5)  # nothing was given there
    assert work.done == 8 and work.ids(5).any()
    work.forget(4)
    assert work.done == 4 and set(work.prompts()) == {0}
    propagate(work)
    assert 3 not in np.unique(all_ids(work))


def test_confidence(work, tiny_model, two):
    work.edit(0, two)
    propagate(work)
    tiny_model.codec.with_confidence = True
    expected_ids(tiny_model, work, two)  # a sample would tell; the map does
    for t in (0, 5):
        levels, ids = work.confidence_map(t), work.ids(t)
        assert levels.shape == work.size and 1 / 3 <= levels.min()
        for object_id, mean in work.confidence[t].items():
            inside = levels[ids == object_id]
            assert mean == pytest.approx(inside.mean(), abs=1 / 255)
    # Where the mask was given nothing is in doubt but edges.
    assert np.median(work.confidence_map(0)) == 1


def test_affinity_of_a_point(work, tiny_model):
    features = [
        f for _, f in video_features(tiny_model, open_frames(work.source))
    ]
    heat = work.affinity((21, 30), 2, 6)
    query = features[2][:, 30 // 4, 21 // 4]
    expected, _ = point_affinity(query, features[6], 0.1)
    assert torch.equal(torch.from_numpy(heat), expected)
    assert work.affinity((21, 30), 2, 2)[7, 5] == pytest.approx(1, abs=1e-5)
    with pytest.raises(ValueError, match=r'\(64, 3\) is outside .* 64x48'):
        work.affinity((64, 3), 0, 0)
