"""The dense form against loops written from the formula, and goldens."""

import math

import numpy as np
import pytest
import torch

from hvc_mm.models.heads import PseudoFlowHead
from hvc_mm.models.losses import dense_hybrid_loss


def by_loops(query, key, there, back, query_box, key_box, radius):
    """Both terms, bin by bin, in Python floats."""
    samples, _, height, width = query.shape
    cells = [(row, col) for row in range(height) for col in range(width)]

    def bins(box):
        x1, y1, x2, y2 = box.tolist()
        size = (x2 - x1) / width, (y2 - y1) / height
        centres = [
            (x1 + (col + 0.5) * size[0], y1 + (row + 0.5) * size[1])
            for row, col in cells
        ]
        return centres, math.hypot(*size)

    def cosine(one, other):
        return float(one @ other / one.norm() / other.norm())

    static = dynamic = 0.0
    for i in range(samples):
        of_query, diagonal_q = bins(query_box[i])
        of_key, diagonal_k = bins(key_box[i])
        found = [
            (a, b)
            for a, centre_q in zip(cells, of_query)
            for b, centre_k in zip(cells, of_key)
            if math.dist(centre_q, centre_k) / max(diagonal_q, diagonal_k)
            < radius
        ]
        for (ra, ca), (rb, cb) in found:
            share = -2 / samples / (len(found) + 1e-6)
            static += share * float(query[i, :, ra, ca] @ key[i, :, rb, cb])
            dynamic += share * cosine(there[i, :, ra, ca], back[i, :, rb, cb])
    return static, dynamic


def make_inputs(samples=3, channels=4, grid=(3, 5)):
    torch.manual_seed(5)
    maps = [
        torch.randn(samples, depth, *grid, dtype=torch.float64)
        for depth in (channels, channels, 2, 2)
    ]
    corners = torch.rand(2, samples, 2, 2, dtype=torch.float64)
    boxes = torch.cat([corners.amin(2), corners.amax(2)], dim=-1)
    return *maps, *boxes


@pytest.mark.parametrize('radius', [0.2, 0.7, 2.0, 50.0])
def test_equals_loops_over_the_bins(radius):
    inputs = make_inputs()
    static, dynamic = dense_hybrid_loss(*inputs, radius)
    want = by_loops(*inputs, radius)
    assert float(static) == pytest.approx(want[0], abs=1e-12)
    assert float(dynamic) == pytest.approx(want[1], abs=1e-12)


@pytest.mark.parametrize('chunk', [1, 2, 7])
def test_chunks_change_nothing(chunk):
    inputs = make_inputs(samples=5)
    whole = dense_hybrid_loss(*inputs, 1.0)
    parts = dense_hybrid_loss(*inputs, 1.0, chunk=chunk)
    for ours, theirs in zip(parts, whole):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-14)


@pytest.mark.parametrize('name', ['small', 'paper_radius', 'wide', 'edge'])
def test_golden(golden_dir, name):
    with np.load(golden_dir / f'hybrid_loss_{name}.npz') as file:
        golden = {key: torch.from_numpy(file[key]) for key in file.files}
    query, key = golden['query'].requires_grad_(), golden['key']
    head = PseudoFlowHead(query.shape[1], hidden_channels=12)
    head.load_state_dict(
        {k[5:]: v for k, v in golden.items() if k.startswith('flow.')}
    )
    static, dynamic = dense_hybrid_loss(
        query,
        key,
        head(query, key),
        head(key, query),
        golden['query_box'],
        golden['key_box'],
        float(golden['pos_radius']),
    )
    loss = static + dynamic
    (grad,) = torch.autograd.grad(loss, query)
    assert float(loss) == pytest.approx(float(golden['loss']), abs=1e-5)
    torch.testing.assert_close(grad, golden['grad_query'], rtol=0, atol=1e-5)


def test_equal_views_reach_the_lowest_value():
    torch.manual_seed(6)
    view = torch.nn.functional.normalize(torch.randn(2, 6, 4, 4), dim=1)
    flow = torch.randn(2, 2, 4, 4)
    box = torch.tensor([[0.0, 0.0, 0.4, 0.6]] * 2)
    static, dynamic = dense_hybrid_loss(view, view, flow, flow, box, box)
    assert float(static) == pytest.approx(-2, abs=1e-5)
    assert float(dynamic) == pytest.approx(-2, abs=1e-5)


def test_wrong_shapes_are_named():
    query, key, there, back, query_box, key_box = make_inputs()
    with pytest.raises(ValueError, match=r'\(3, 4, 3, 4\)'):
        dense_hybrid_loss(query, key[..., :4], there, back, query_box, key_box)
    with pytest.raises(ValueError, match=r'flow fields \(3, 2, 3, 5\)'):
        dense_hybrid_loss(query, key, query, back, query_box, key_box)
    with pytest.raises(ValueError, match=r'each of 3 samples, .*\(2, 4\)'):
        dense_hybrid_loss(query, key, there, back, query_box[:2], key_box[:2])
