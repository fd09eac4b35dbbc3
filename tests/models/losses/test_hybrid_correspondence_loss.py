import copy
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from hvc_mm.models.heads import PseudoFlowHead
from hvc_mm.models.losses import (
    HybridCorrespondenceLoss,
    dense_hybrid_loss,
    find_positive_pairs,
    hybrid_correspondence_loss,
)
from hvc_mm.registry import MODELS

MODULE = sys.modules[HybridCorrespondenceLoss.__module__]


def make_inputs(
    samples=3, channels=6, grid=(7, 9), seed=0, dtype=torch.float64
):
    """Query, key, both fields (all leaves) and both boxes."""
    torch.manual_seed(seed)
    maps = [
        torch.randn(samples, depth, *grid, dtype=dtype)
        for depth in (channels, channels, 2, 2)
    ]
    maps[:2] = [F.normalize(one, dim=1) for one in maps[:2]]
    corners = torch.rand(2, samples, 2, 2, dtype=dtype)
    low, high = corners.amin(2), corners.amax(2)
    boxes = torch.cat([low, high + 0.1], dim=-1)
    return [one.requires_grad_() for one in maps], list(boxes)


def grads_of(loss, maps, boxes, radius):
    terms = loss(*maps, *boxes, radius)
    # Unequal factors, so that the terms can't replace each other.
    return terms, torch.autograd.grad(terms[0] + 3 * terms[1], maps)


@pytest.mark.parametrize('name', ['small', 'paper_radius', 'wide', 'edge'])
@pytest.mark.parametrize(
    ('loss', 'both'),
    [
        (hybrid_correspondence_loss, True),
        (hybrid_correspondence_loss, False),
        (dense_hybrid_loss, False),
    ],
)
def test_golden(golden_dir, name, loss, both):
    with np.load(golden_dir / f'hybrid_loss_{name}.npz') as file:
        golden = {key: torch.from_numpy(file[key]) for key in file.files}
    query, key = golden['query'].requires_grad_(), golden['key']
    head = PseudoFlowHead(query.shape[1], hidden_channels=12)
    head.load_state_dict(
        {k[5:]: v for k, v in golden.items() if k.startswith('flow.')}
    )
    if both:
        flows = head.forward_backward(query, key)
    else:
        flows = head(query, key), head(key, query)
    boxes = golden['query_box'], golden['key_box']
    # The default is the paper's.
    radius = [] if name == 'paper_radius' else [float(golden['pos_radius'])]
    total = sum(loss(query, key, *flows, *boxes, *radius))
    (grad,) = torch.autograd.grad(total, query)
    assert float(total) == pytest.approx(float(golden['loss']), abs=1e-5)
    torch.testing.assert_close(grad, golden['grad_query'], rtol=0, atol=1e-5)
    # Where a flow vector is short its direction magnifies fp32's rounding:
    # the golden one is itself 1.04e-5 off fp64, the shared form 0.64e-5.
    torch.testing.assert_close(
        F.normalize(flows[0], dim=1),
        golden['flow_forward'],
        rtol=0,
        atol=2e-5 if both else 1e-5,
    )


def test_the_default_radius_is_the_papers_everywhere():
    assert HybridCorrespondenceLoss().pos_radius == 0.1
    boxes = (
        torch.tensor([[0, 0, 0.5, 0.5]]),
        torch.tensor([[0.25, 0.0, 0.78, 0.5]]),
    )
    found = find_positive_pairs(*boxes, (32, 32))
    assert len(found.query) > 0
    for mine, named in zip(found, find_positive_pairs(*boxes, (32, 32), 0.1)):
        assert torch.equal(torch.as_tensor(mine), torch.as_tensor(named))


@pytest.mark.parametrize('seed', range(24))
def test_equals_the_dense_form(seed, monkeypatch):
    """Any grid, radius, memory format and number of blocks."""
    grid = ((7, 9), (12, 5), (1, 6), (16, 16))[seed % 4]
    radius = (0.1, 0.3, 1.0, 2.5, 1e9)[seed % 5]
    maps, boxes = make_inputs(1 + seed % 3, grid=grid, seed=seed)
    if seed % 2:
        maps = [
            one.detach()
            .contiguous(memory_format=torch.channels_last)
            .requires_grad_()
            for one in maps
        ]
    if seed % 3 == 0:
        monkeypatch.setattr(MODULE, '_BLOCK', 5)
    ours = grads_of(hybrid_correspondence_loss, maps, boxes, radius)
    dense = grads_of(dense_hybrid_loss, maps, boxes, radius)
    for terms, want in zip(ours, dense):
        for one, other in zip(terms, want):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-11)


@pytest.mark.parametrize('radius', [0.9, 1e9])
def test_gradcheck(radius):
    maps, boxes = make_inputs(2, channels=3, grid=(3, 3))
    assert torch.autograd.gradcheck(
        lambda *at: hybrid_correspondence_loss(*at, *boxes, radius), maps
    )


def test_without_positive_pairs_all_is_zero_but_connected():
    maps, _ = make_inputs(2)
    near = torch.tensor([[0.0, 0.0, 0.1, 0.1]] * 2)
    (static, dynamic), grads = grads_of(
        hybrid_correspondence_loss, maps, [near, near + 0.5], 0.1
    )
    assert static == 0 and dynamic == 0
    for grad in grads:
        assert grad is not None and grad.abs().max() == 0


def test_fp32_inside_under_autocast():
    maps, boxes = make_inputs(dtype=torch.float32)
    half = [one.detach().bfloat16().requires_grad_() for one in maps]
    full = [one.detach().float().requires_grad_() for one in half]
    with torch.autocast('cpu', torch.bfloat16):
        got = hybrid_correspondence_loss(*half, *boxes, 0.3)
    want = hybrid_correspondence_loss(*full, *boxes, 0.3)
    for one, other in zip(got, want):
        assert one.dtype == torch.float32
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)
    grads = torch.autograd.grad(sum(got), half)
    for one, other in zip(grads, torch.autograd.grad(sum(want), full)):
        assert one.dtype == torch.bfloat16
        torch.testing.assert_close(one, other.bfloat16())


def make_views(samples=3, channels=8, grid=(16, 16), dtype=torch.float64):
    torch.manual_seed(11)
    views = torch.randn(4, samples, channels, *grid, dtype=dtype)
    p1, p2, z1, z2 = F.normalize(views, dim=2)
    corners = torch.rand(2, samples, 2, 2, dtype=dtype)
    boxes = torch.cat([corners.amin(2), corners.amax(2) + 0.1], dim=-1)
    head = PseudoFlowHead(channels, 5).to(dtype)
    return (p1.requires_grad_(), p2.requires_grad_(), z1, z2), head, boxes


@pytest.mark.parametrize('radius', [0.2, 3.0])
def test_module_is_the_sum_of_both_directions(radius):
    (p1, p2, z1, z2), head, (box1, box2) = make_views()
    plain = copy.deepcopy(head)
    loss = MODELS.build(
        {
            'type': 'HybridCorrespondenceLoss',
            'pos_radius': radius,
            'static_weight': 0.5,
            'dynamic_weight': 2.0,
        }
    )
    got = loss(p1, p2, z1, z2, head, box1, box2)
    assert set(got) == {'loss_static', 'loss_dynamic'}

    static = dynamic = 0
    for q, k, at in ((p1, z2, (box1, box2)), (p2, z1, (box2, box1))):
        terms = dense_hybrid_loss(q, k, plain(q, k), plain(k, q), *at, radius)
        static, dynamic = static + terms[0], dynamic + terms[1]
    want = {'loss_static': static * 0.5, 'loss_dynamic': dynamic * 2}
    for name, value in want.items():
        torch.testing.assert_close(got[name], value, rtol=0, atol=1e-11)
    for one, other in zip(
        torch.autograd.grad(sum(got.values()), [p1, p2, *head.parameters()]),
        torch.autograd.grad(sum(want.values()), [p1, p2, *plain.parameters()]),
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)
    # The order of the four passes shows in the running statistics.
    for one, other in zip(head.buffers(), plain.buffers()):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_module_under_bf16_autocast_stays_near_fp32():
    views, head, boxes = make_views(dtype=torch.float32)
    loss = HybridCorrespondenceLoss(0.3)
    want = loss(*views, copy.deepcopy(head), *boxes)
    with torch.autocast('cpu', torch.bfloat16):
        got = loss(*views, head, *boxes)
    for name, value in want.items():
        assert got[name].dtype == torch.float32
        torch.testing.assert_close(got[name], value, rtol=0, atol=2e-2)
    sum(got.values()).backward()
    assert all(one.grad.isfinite().all() for one in head.parameters())


def test_no_parameter_is_unused_under_ddp(tmp_path):
    """A rank whose crops never meet must still give the head gradients."""

    class Step(nn.Module):
        def __init__(self, head):
            super().__init__()
            self.head, self.loss = head, HybridCorrespondenceLoss(0.1)

        def forward(self, views, boxes):
            return sum(self.loss(*views, self.head, *boxes).values())

    (p1, p2, z1, z2), head, _ = make_views(dtype=torch.float32)
    near = torch.tensor([[0.0, 0.0, 0.1, 0.1]] * 3)
    torch.distributed.init_process_group(
        'gloo',
        init_method=f'file://{tmp_path / "store"}',
        rank=0,
        world_size=1,
    )
    try:
        step = nn.parallel.DistributedDataParallel(Step(head))
        for _ in range(2):  # an unused parameter fails the second round
            step((p1, p2, z1, z2), (near, near + 0.5)).backward()
    finally:
        torch.distributed.destroy_process_group()
    assert all(one.grad.abs().max() == 0 for one in head.parameters())


@pytest.mark.parametrize('radius', [0, -0.1, float('nan')])
def test_radius_must_be_positive(radius):
    with pytest.raises(ValueError, match='pos_radius > 0, got'):
        HybridCorrespondenceLoss(radius)


@pytest.mark.parametrize(
    'loss', [hybrid_correspondence_loss, dense_hybrid_loss]
)
def test_wrong_inputs_are_named(loss):
    (query, key, there, back), boxes = make_inputs()
    with pytest.raises(ValueError, match=r'\(3, 5, 7, 9\)'):
        loss(query, key[:, :5], there, back, *boxes)
    with pytest.raises(ValueError, match=r'flow fields \(3, 2, 7, 9\)'):
        loss(query, key, there[:, :1], back, *boxes)
    with pytest.raises(ValueError, match=r'each of 3 samples, .*\(2, 4\)'):
        loss(query, key, there, back, *(box[:2] for box in boxes))
    with pytest.raises(ValueError, match=r'x2 >= x1 .* sample 0'):
        loss(query, key, there, back, boxes[0], boxes[1].flip(1))


def test_the_module_names_wrong_inputs_too():
    (p1, p2, z1, z2), head, (box1, box2) = make_views()
    loss = HybridCorrespondenceLoss()
    with pytest.raises(ValueError, match=r'\(3, 8, 16\)'):
        loss(p1[..., 0], p2, z1, z2[..., 0], head, box1, box2)
    for boxes in ((box1[:2], box2), (box1, box2[:2])):
        with pytest.raises(ValueError, match='each of 3 samples'):
            loss(p1, p2, z1, z2, head, *boxes)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')
def test_cuda_equals_cpu_without_a_synchronisation():
    views, head, boxes = make_views(dtype=torch.float32)
    loss = HybridCorrespondenceLoss(0.2)
    want = loss(*views, copy.deepcopy(head), *boxes)
    there = [one.detach().cuda() for one in views]
    there[0].requires_grad_()
    head.cuda()
    loss(*there, head, *boxes)  # loads what loads lazily
    torch.cuda.set_sync_debug_mode('error')
    try:
        got = loss(*there, head, *boxes)
        sum(got.values()).backward()
    finally:
        torch.cuda.set_sync_debug_mode('default')
    for name, value in want.items():
        torch.testing.assert_close(got[name].cpu(), value, rtol=0, atol=1e-4)
