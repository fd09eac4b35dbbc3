import copy

import pytest
import torch

from hvc_mm.models.heads import PseudoFlowHead
from hvc_mm.registry import MODELS


def make_head(channels=6, hidden=5, dtype=torch.float64):
    """A head whose batch norms scale and shift, so that they matter."""
    torch.manual_seed(3)
    head = PseudoFlowHead(channels, hidden)
    for norm in (head.bn1, head.bn2):
        torch.nn.init.uniform_(norm.weight, -1.5, 1.5)
        torch.nn.init.normal_(norm.bias)
    # How some batch norms begin.
    torch.nn.init.zeros_(head.bn1.weight[1:2])
    return head.to(dtype)


def make_pair(layout):
    """Maps far from zero: sums of squares about 0 would lose digits."""
    torch.manual_seed(4)
    maps = 3 + torch.randn(2, 3, 6, 4, 5, dtype=torch.float64)
    return [
        one.contiguous(memory_format=layout).requires_grad_() for one in maps
    ]


def plain(head, query, key):
    """The head as its formula says, on the concatenation."""
    hidden = head.bn1(head.conv1(torch.cat([query, key], dim=1)))
    return head.bn2(head.conv2(torch.relu(hidden)))


def test_built_from_config_with_the_fixed_names():
    head = MODELS.build({'type': 'PseudoFlowHead', 'in_channels': 7})
    state = head.state_dict()
    assert {name.split('.')[0] for name in state} == {
        'conv1',
        'bn1',
        'conv2',
        'bn2',
    }
    assert state['conv1.weight'].shape == (256, 14, 1, 1)
    assert state['conv1.bias'].shape == (256,)
    assert state['conv2.weight'].shape == (2, 256, 1, 1)
    assert state['conv2.bias'].shape == (2,)


@pytest.mark.parametrize('train', [True, False])
@pytest.mark.parametrize('both', ['fast', 'layers', None])
@pytest.mark.parametrize(
    'layout', [torch.contiguous_format, torch.channels_last]
)
def test_equals_the_formula_with_gradients_and_statistics(
    train, both, layout, monkeypatch
):
    if both == 'layers':  # what a GPU runs
        module = 'hvc_mm.models.heads.pseudo_flow_head'
        monkeypatch.setattr(f'{module}.is_applicable', lambda *_: False)
    head = make_head().train(train)
    oracle = copy.deepcopy(head)
    query, key = make_pair(layout)
    if both:
        got = head.forward_backward(query, key)
    else:
        got = head(query, key), head(key, query)
    want = plain(oracle, query, key), plain(oracle, key, query)
    weight = torch.randn_like(want[0])
    for ours, theirs in zip(got, want):
        assert ours.shape == (3, 2, 4, 5)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    grads = [
        torch.autograd.grad(
            (f * weight).sum() + (b * weight * 2).sum(),
            [query, key, *net.parameters()],
        )
        for net, (f, b) in ((head, got), (oracle, want))
    ]
    for ours, theirs in zip(*grads):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)
    buffers = dict(oracle.named_buffers())
    for name, ours in head.named_buffers():
        torch.testing.assert_close(ours, buffers[name], rtol=0, atol=1e-12)
    if train:
        assert head.bn1.num_batches_tracked == 2


@pytest.mark.parametrize(
    'query, key',
    [((2, 6, 4, 5), (2, 6, 5, 4)), ((2, 5, 4, 5),) * 2, ((6, 4, 5),) * 2],
)
def test_wrong_shapes_are_named(query, key):
    head = make_head(dtype=torch.float32)
    maps = torch.zeros(query), torch.zeros(key)
    for call in (head, head.forward_backward):
        with pytest.raises(ValueError, match=r'\(N, 6, h, w\)') as error:
            call(*maps)
        assert str(query) in str(error.value)
