from itertools import permutations

import pytest
import torch
import torch.nn.functional as F

from hvc_mm.bridges.matching import (
    best_cosine,
    mask_iou,
    match_masks,
    pool_features,
)

SIZE = (12, 24)


def _box(left, right, top=0, bottom=12):
    mask = torch.zeros(SIZE, dtype=torch.bool)
    mask[top:bottom, left:right] = True
    return mask


def test_iou_of_masks():
    first = torch.stack([_box(0, 4, 0, 4), _box(8, 12, 8, 12)])
    second = [_box(2, 6, 0, 4), _box(0, 4, 0, 4), _box(0, 4, 0, 8)]
    wanted = torch.tensor([[1 / 3, 1, 1 / 2], [0, 0, 0]])
    torch.testing.assert_close(mask_iou(first, torch.stack(second)), wanted)
    empty = torch.zeros(1, *SIZE, dtype=torch.bool)
    assert mask_iou(empty, empty) == 0 and mask_iou(empty, first[:1]) == 0
    assert mask_iou(empty[:0], first).shape == (0, 2)
    assert match_masks(mask_iou(empty[:0], first), 0.5) == []
    large = torch.ones(1, 2000, 3000, dtype=torch.bool)
    less = large.clone()
    less[0, 0, 0] = False
    wanted = 1 - 1 / (2000 * 3000)
    assert float(mask_iou(large, less)) == pytest.approx(wanted, abs=1e-7)
    with pytest.raises(ValueError, match='one frame'):
        mask_iou(torch.ones(1, 4, 4).bool(), torch.ones(1, 4, 5).bool())


def test_the_sum_counts_and_pairs_below_the_threshold_do_not():
    # Greedy would take 0.9 and leave 0.5 for the rest.
    iou = torch.tensor([[0.9, 0.8], [0.85, 0.5]])
    assert match_masks(iou, 0.5) == [(0, 1), (1, 0)]
    # Without the threshold first 0.4 + 0.7 would beat 0.95 alone.
    iou = torch.tensor([[0.95, 0.7], [0.4, 0.1]])
    assert match_masks(iou, 0.5) == [(0, 0)]
    assert match_masks(torch.zeros(2, 3), 0.5) == []


@pytest.mark.parametrize('seed', range(5))
def test_matches_are_the_best_of_all_assignments(seed):
    generator = torch.Generator().manual_seed(seed)
    iou = torch.rand(4, 4, generator=generator)
    allowed = iou * (iou >= 0.3)
    highest = max(
        sum(float(allowed[r, c]) for r, c in enumerate(order))
        for order in permutations(range(4))
    )
    pairs = match_masks(iou, 0.3)
    assert sum(float(iou[r, c]) for r, c in pairs) == pytest.approx(highest)
    assert len({c for _, c in pairs}) == len(pairs)


def test_pooled_features_are_the_masks_apart_from_the_frames():
    generator = torch.Generator().manual_seed(0)
    features = F.normalize(torch.randn(1, 5, 3, 6, generator=generator))
    # Cells are 4 x 4: whole cells; a quarter of one and half of another.
    masks = torch.stack([_box(4, 12, 0, 8), _box(2, 4, 0, 2), _box(0, 0)])
    masks[1, 8:10, 8:12] = True
    mean = features[0].flatten(1).mean(1)
    whole = features[0, :, :2, 1:3].flatten(1).mean(1)
    parts = (features[0, :, 0, 0] + 2 * features[0, :, 2, 2]) / 3
    wanted = F.normalize(torch.stack([whole - mean, parts - mean]), dim=1)
    found = pool_features(features, masks)
    torch.testing.assert_close(found[:2], wanted)
    assert not found[2].any()
    assert pool_features(features, masks[:0]).shape == (0, 5)


def test_the_most_similar_view_counts():
    known = [torch.eye(3)[:2], torch.eye(3)[2:]]
    views = torch.tensor([[0.6, 0.8, 0.0], [0.0, -0.6, 0.8]])
    wanted = torch.tensor([[0.8, 0.0], [0.0, 0.8]])
    torch.testing.assert_close(best_cosine(known, views), wanted)
