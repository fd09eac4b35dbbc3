import math

import pytest
import torch

from hvc_mm.models.losses import dense_positive_mask, find_positive_pairs


def random_boxes(samples, generator, dtype=torch.float32):
    """Boxes of all sizes within the unit square."""
    corners = torch.rand(samples, 2, 2, generator=generator, dtype=dtype)
    low, high = corners.amin(1), corners.amax(1)
    return torch.cat([low, high + 1e-3], dim=1)


def as_mask(pairs, cells):
    mask = torch.zeros(len(pairs.count), cells, cells, dtype=torch.bool)
    mask[pairs.sample, pairs.query, pairs.key] = True
    return mask


@pytest.mark.parametrize('seed', range(60))
def test_same_pairs_as_the_dense_mask(seed):
    generator = torch.Generator().manual_seed(seed)
    samples, height, width = (
        int(torch.randint(1, top, (), generator=generator))
        for top in (5, 20, 20)
    )
    radius = (0.02, 0.1, 0.5, 1.0, 3.0, math.inf)[seed % 6]
    dtype = torch.float64 if seed % 5 == 0 else torch.float32
    query = random_boxes(samples, generator, dtype)
    key = random_boxes(samples, generator, dtype)
    if seed % 7 == 0:  # many exact ties of distances
        key = query.clone()
    grid = height, width
    want = dense_positive_mask(query, key, grid, radius)

    pairs = find_positive_pairs(query, key, grid, radius)
    assert len(pairs.query) == want.sum()  # no pair listed twice
    assert torch.equal(as_mask(pairs, height * width), want)
    assert torch.equal(pairs.count, want.sum((1, 2)))
    assert (pairs.sample.diff() >= 0).all()
    swapped = find_positive_pairs(key, query, grid, radius)
    assert torch.equal(
        as_mask(pairs.transposed(), height * width),
        as_mask(swapped, height * width),
    )


@pytest.mark.parametrize('shift', [0, 1])
def test_a_crop_moved_by_one_column(shift):
    query = torch.tensor([[0.0, 0.0, 4.0, 2.0]])
    key = query + torch.tensor([shift, 0.0, shift, 0.0])
    pairs = find_positive_pairs(query, key, (2, 4), 0.1)
    # Column c of the key shows what column c + 1 of the query shows.
    found = sorted(zip(pairs.query.tolist(), pairs.key.tolist()))
    rows = range(shift, 4), range(4 + shift, 8)
    assert found == [(q, q - shift) for row in rows for q in row]


def test_the_bound_is_exclusive_and_in_larger_diagonals():
    # Cells of 3 x 4 have a diagonal of 5; the key's are half as large.
    query = torch.tensor([[0.0, 0.0, 3.0, 4.0]])
    key = torch.tensor([[1.5, 2.0, 3.0, 4.0]])
    # Centres (1.5, 2) and (2.25, 3): distance 1.25, a quarter of 5.
    assert find_positive_pairs(query, key, (1, 1), 0.25).count == 0
    assert find_positive_pairs(query, key, (1, 1), 0.2501).count == 1


def test_weights_give_the_mean_of_means():
    generator = torch.Generator().manual_seed(1)
    query, key = (random_boxes(6, generator) for _ in range(2))
    query[2] = torch.tensor([0.0, 0.0, 0.1, 0.1])
    key[2] = torch.tensor([0.8, 0.8, 1.0, 1.0])
    pairs = find_positive_pairs(query, key, (8, 8), 0.3)
    assert pairs.count[2] == 0
    values = torch.rand(len(pairs.query), dtype=torch.float64)
    means = [
        values[pairs.sample == i].sum() / (pairs.count[i] + 1e-6)
        for i in range(6)
    ]
    torch.testing.assert_close(
        (values * pairs.weight).sum(), torch.stack(means).mean()
    )


def test_no_pair_at_all():
    query = torch.tensor([[0.0, 0.0, 0.1, 0.1]]).repeat(3, 1)
    pairs = find_positive_pairs(query, query + 0.5, (8, 8), 0.1)
    assert [len(part) for part in pairs] == [0, 0, 0, 0, 3]
    assert pairs.count.tolist() == [0, 0, 0]
    assert len(pairs.to('cpu').transposed().query) == 0


@pytest.mark.parametrize(
    'query, key, radius, found',
    [
        ([[0.0, 0, 1]], [[0.0, 0, 1]], 0.1, r'\(1, 3\)'),
        ([[0.0, 0, 1, 1]], [[0.0, 0, 1, 1]] * 2, 0.1, r'\(2, 4\)'),
        ([0.0, 0, 1, 1], [0.0, 0, 1, 1], 0.1, r'\(4,\)'),
        ([[0.5, 0, 0.4, 1]], [[0.0, 0, 1, 1]], 0.1, r'query .*\[0.5, 0.0'),
        ([[0.0, 0, 1, 1]], [[0.0, 1, 1, 0.5]], 0.1, r'key .*\[0.0, 1.0'),
        ([[0.0, 0, 1, math.inf]], [[0.0, 0, 1, 1]], 0.1, 'inf'),
        ([[0.0, 0, 1, 1]], [[0.0, 0, 1, math.nan]], 0.1, 'nan'),
        ([[0.0, 0, 1, 1]], [[0.0, 0, 1, 1]], 0, 'got 0'),
        ([[0.0, 0, 1, 1]], [[0.0, 0, 1, 1]], math.nan, 'got nan'),
    ],
)
def test_bad_input_is_named(query, key, radius, found):
    boxes = torch.tensor(query), torch.tensor(key)
    for call in (find_positive_pairs, dense_positive_mask):
        with pytest.raises(ValueError, match=found):
            call(*boxes, (4, 4), radius)
    box = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    with pytest.raises(ValueError, match=r'\(0, 4\)'):
        find_positive_pairs(box, box, (0, 4))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')
def test_cuda_finds_the_same_pairs():
    generator = torch.Generator().manual_seed(2)
    query, key = (random_boxes(4, generator) for _ in range(2))
    here = find_positive_pairs(query, key, (16, 16), 0.2)
    there = find_positive_pairs(query.cuda(), key.cuda(), (16, 16), 0.2)
    for ours, theirs in zip(here.to('cuda'), there):
        assert torch.equal(ours, theirs)


def test_crops_of_one_pixel_have_pairs_as_the_dense_mask_has():
    """Real crops: one column, one row, and a single pixel in both views."""
    query = torch.tensor(
        [[0.3, 0.1, 0.3, 0.9], [0.1, 0.5, 0.9, 0.5], [0.2, 0.2, 0.2, 0.2]]
    )
    key = torch.tensor(
        [[0.1, 0.1, 0.9, 0.9], [0.1, 0.5, 0.9, 0.5], [0.2, 0.2, 0.2, 0.2]]
    )
    mask = dense_positive_mask(query, key, (6, 6), 0.5)
    pairs = find_positive_pairs(query, key, (6, 6), 0.5)
    assert torch.equal(as_mask(pairs, 36), mask)
    assert mask[0].any() and mask[1].any() and not mask[2].any()
