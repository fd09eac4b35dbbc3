"""Matrices sample by sample against the dense form, with gradients."""

import pytest
import torch
from torch.nn import functional as F

from hvc_mm.models.losses import dense_hybrid_loss
from hvc_mm.models.losses.many_pairs import many_pairs_terms


def make_inputs(dtype=torch.float64, samples=3, grid=(4, 5)):
    torch.manual_seed(8)
    maps = [
        torch.randn(samples, depth, *grid, dtype=dtype)
        for depth in (6, 6, 2, 2)
    ]
    corners = torch.rand(2, samples, 2, 2, dtype=dtype)
    boxes = torch.cat([corners.amin(2), corners.amax(2)], dim=-1)
    return [one.requires_grad_() for one in maps], list(boxes)


@pytest.mark.parametrize('radius', [0.1, 0.8, 3.0, 1e6])
def test_equals_the_dense_form(radius):
    maps, boxes = make_inputs()
    flows = [F.normalize(one, dim=1) for one in maps[2:]]
    ours = many_pairs_terms(*maps[:2], *flows, *boxes, radius)
    dense = dense_hybrid_loss(*maps, *boxes, radius)
    grads = []
    for terms, factor in ((ours, -2), (dense, 1)):
        grads.append(
            torch.autograd.grad(factor * (terms[0] + 3 * terms[1]), maps)
        )
    for one, other in zip(ours, dense):
        torch.testing.assert_close(-2 * one, other, rtol=0, atol=1e-12)
    for one, other in zip(*grads):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-11)


def test_gradcheck():
    maps, boxes = make_inputs(samples=2, grid=(3, 2))
    assert torch.autograd.gradcheck(
        lambda *at: many_pairs_terms(*at, *boxes, 1.0), maps
    )


def test_only_what_is_asked_for_gets_a_gradient():
    (query, key, there, back), boxes = make_inputs()
    key = key.detach()
    static, dynamic = many_pairs_terms(query, key, there, back, *boxes, 2.0)
    (static + dynamic).backward()
    assert query.grad is not None and key.grad is None
    with torch.no_grad():
        static, _ = many_pairs_terms(query, key, there, back, *boxes, 2.0)
    assert not static.requires_grad


def test_bf16_maps_are_summed_in_fp32():
    maps, boxes = make_inputs(torch.float32)
    half = [one.detach().bfloat16().requires_grad_() for one in maps[:2]]
    full = [one.detach().float() for one in half]
    got, _ = many_pairs_terms(*half, *maps[2:], *boxes, 1.0)
    want, _ = many_pairs_terms(*full, *maps[2:], *boxes, 1.0)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, want)
    (grad,) = torch.autograd.grad(got, half[:1])
    assert grad.dtype == torch.bfloat16 and grad.abs().max() > 0
