from itertools import permutations

import pytest
import torch

from hvc_mm.bridges.mask_matching import mask_iou, match_masks


def _box(left, top, right, bottom, size=(12, 16)):
    mask = torch.zeros(size, dtype=torch.bool)
    mask[top:bottom, left:right] = True
    return mask


def test_iou_of_boxes():
    first = torch.stack([_box(0, 0, 4, 4), _box(8, 8, 12, 12)])
    second = torch.stack(
        [_box(2, 0, 6, 4), _box(0, 0, 4, 4), _box(0, 0, 4, 8)]
    )
    wanted = [[1 / 3, 1, 1 / 2], [0, 0, 0]]
    torch.testing.assert_close(mask_iou(first, second), torch.tensor(wanted))


def test_iou_of_empty_masks_and_empty_sets():
    empty = torch.zeros(1, 12, 16, dtype=torch.bool)
    some = _box(0, 0, 4, 4)[None]
    assert mask_iou(empty, empty) == 0 and mask_iou(empty, some) == 0
    assert mask_iou(empty[:0], some).shape == (0, 1)
    assert match_masks(mask_iou(empty[:0], some), 0.5) == []


def test_iou_counts_large_masks_exactly():
    first = torch.ones(1, 2000, 3000, dtype=torch.bool)
    second = first.clone()
    second[0, 0, 0] = False
    wanted = (2000 * 3000 - 1) / (2000 * 3000)
    assert float(mask_iou(first, second)) == pytest.approx(wanted, abs=1e-7)


def test_frames_of_two_sizes():
    with pytest.raises(ValueError, match='one frame'):
        mask_iou(torch.ones(1, 4, 4).bool(), torch.ones(1, 4, 5).bool())


def test_the_sum_counts_not_the_largest_pair():
    # Greedy would take 0.9 and leave 0.5 for the rest.
    iou = torch.tensor([[0.9, 0.8], [0.85, 0.5]])
    assert match_masks(iou, 0.5) == [(0, 1), (1, 0)]


def test_pairs_below_the_threshold_do_not_count():
    # Without the threshold first 0.4 + 0.7 would beat 0.95 alone.
    iou = torch.tensor([[0.95, 0.7], [0.4, 0.1]])
    assert match_masks(iou, 0.5) == [(0, 0)]
    assert match_masks(torch.zeros(2, 3), 0.5) == []


@pytest.mark.parametrize('seed', range(5))
def test_against_all_assignments(seed):
    generator = torch.Generator().manual_seed(seed)
    iou = torch.rand(4, 4, generator=generator)
    allowed = iou * (iou >= 0.3)
    best = max(
        sum(float(allowed[r, c]) for r, c in enumerate(order))
        for order in permutations(range(4))
    )
    pairs = match_masks(iou, 0.3)
    assert sum(float(iou[r, c]) for r, c in pairs) == pytest.approx(best)
    assert len({c for _, c in pairs}) == len(pairs)
