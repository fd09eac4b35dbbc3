"""Gradients and types of the head's hidden layer in both directions.

That it equals the plain layers is among the tests of the head.
"""

import pytest
import torch
from torch import nn

from hvc_mm.models.heads import PseudoFlowHead
from hvc_mm.models.heads.two_way_flow import is_applicable, two_way_flow


def make(dtype=torch.float64, samples=3, channels=4, hidden=5, grid=(3, 4)):
    torch.manual_seed(2)
    head = PseudoFlowHead(channels, hidden).to(dtype)
    nn.init.uniform_(head.bn1.weight, -1.5, 1.5)
    nn.init.normal_(head.bn1.bias)
    maps = torch.randn(2, samples, channels, *grid, dtype=dtype)
    # Maps far from zero: sums of squares about 0 would lose digits.
    maps += 3
    return head, [one.clone().requires_grad_() for one in maps]


def fast(head, query, key):
    return two_way_flow(query, key, head.conv1, head.bn1, head.conv2)


def test_gradcheck():
    head, (query, key) = make(samples=2, channels=2, hidden=3, grid=(2, 2))
    assert torch.autograd.gradcheck(
        lambda q, k: fast(head, q, k), (query, key)
    )


def test_bf16_products_under_autocast():
    head, (query, key) = make(torch.float32, grid=(8, 8))
    query, key = query.detach() - 3, key.detach() - 3
    query.requires_grad_()
    want = fast(head, query, key)
    (exact,) = torch.autograd.grad(sum(w.square().sum() for w in want), query)
    with torch.autocast('cpu', torch.bfloat16):
        got = fast(head, query, key)
    (rough,) = torch.autograd.grad(sum(g.square().sum() for g in got), query)
    for ours, theirs in zip(got, want):
        assert ours.dtype == torch.float32
        assert not torch.equal(ours, theirs)  # bf16 was really used
        torch.testing.assert_close(ours, theirs, rtol=0, atol=5e-2)
    assert (rough - exact).norm() < 0.05 * exact.norm()


def test_only_for_a_plain_batch_norm_in_training():
    maps = torch.zeros(2, 4, 3, 3)
    assert is_applicable(maps, nn.BatchNorm2d(5))
    for norm in (
        nn.BatchNorm2d(5).eval(),
        nn.SyncBatchNorm(5),
        nn.BatchNorm2d(5, affine=False),
        nn.BatchNorm2d(5, track_running_stats=False),
        nn.BatchNorm2d(5, momentum=None),
        nn.Identity(),
    ):
        assert not is_applicable(maps, norm), norm
    # One value per channel has no variance: torch's own error is the one
    # to show.
    head = PseudoFlowHead(4)
    with pytest.raises(ValueError, match='more than 1 value'):
        head.forward_backward(maps[:1, :, :1, :1], maps[:1, :, :1, :1])
