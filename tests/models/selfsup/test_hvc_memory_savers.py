"""mmengine's options for small cards: the same gradients with less memory.

Gradient accumulation (``optim_wrapper.accumulative_counts``) and activation
checkpointing (``activation_checkpointing``), as docs/train.md gives them.
"""

import copy
import warnings

import pytest
import torch
import torch.distributed as dist
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from mmengine.runner.activation_checkpointing import (
    turn_on_activation_checkpointing,
)

CHECKPOINTED = ['backbone.layer1', 'backbone.layer2']


@pytest.fixture
def checkpointed(model):
    """Makes twins; a twin's own copy would run the twin's blocks."""

    def make():
        twin = copy.deepcopy(model)
        turn_on_activation_checkpointing(twin, CHECKPOINTED)
        return twin

    with warnings.catch_warnings():
        # mmengine leaves a choice to torch that torch wants to be told.
        warnings.filterwarnings('ignore', '.*use_reentrant.*')
        yield make


@pytest.fixture
def one_process(tmp_path):
    """A process group of one."""
    store = f'file://{tmp_path}/store'
    dist.init_process_group('gloo', store, rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def gradients(model, batch):
    losses = model(*batch, mode='loss')
    sum(losses.values()).backward()
    module = getattr(model, 'module', model)
    found = {n: p.grad for n, p in module.named_parameters()}
    return losses, {n: g for n, g in found.items() if g is not None}


def assert_same(one, other):
    losses, found = one
    others, expected = other
    assert found.keys() == expected.keys()
    for name in losses:
        torch.testing.assert_close(losses[name], others[name])
    for name in found:
        # Of a bias before a batch norm there is nothing but rounding.
        scale = expected[name].abs().max().clamp(min=1e-2)
        assert (found[name] - expected[name]).abs().max() <= 1e-4 * scale


def saved_bytes(model, batch):
    """What a forward pass keeps for the backward pass."""
    sizes = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        losses = model(*batch, mode='loss')
    del losses
    return sum(sizes.values())


def test_checkpointing_gives_the_same_gradients(model, checkpointed, batch):
    kept = saved_bytes(checkpointed(), batch)
    assert kept < 0.6 * saved_bytes(copy.deepcopy(model), batch)
    assert_same(gradients(checkpointed(), batch), gradients(model, batch))


def test_checkpointing_in_several_processes_needs_a_static_graph(
    model, checkpointed, batch, one_process
):
    """Each block is run for both views; torch's own wrapper counts once."""
    expected = gradients(model, batch)
    plain = MMDistributedDataParallel(checkpointed(), broadcast_buffers=False)
    with pytest.raises(RuntimeError, match='ready only once'):
        gradients(plain, batch)
    static = MMDistributedDataParallel(
        checkpointed(), broadcast_buffers=False, static_graph=True
    )
    assert_same(gradients(static, batch), expected)


def test_accumulation_steps_with_the_mean_of_the_batches(model, batch):
    twin = copy.deepcopy(model)
    other = [view.flip(2) * 0.9 for view in batch[0]], batch[1]
    batches = [batch, other]
    wrapper = OptimWrapper(
        torch.optim.SGD(model.parameters(), lr=0.1), accumulative_counts=2
    )
    wrapper.initialize_count_status(model, 0, 4)
    before = copy.deepcopy(model.backbone.conv1.weight)
    for views, samples in batches:
        assert torch.equal(model.backbone.conv1.weight, before)
        model.train_step(dict(inputs=views, data_samples=samples), wrapper)
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.1)
    for views, samples in batches:
        data = dict(inputs=views, data_samples=samples)
        inputs = twin.data_preprocessor(data, True)['inputs']
        losses = twin(inputs, samples, mode='loss')
        (sum(losses.values()) / 2).backward()
    optimizer.step()
    assert not torch.equal(model.backbone.conv1.weight, before)
    for name, weight in twin.named_parameters():
        found = model.get_parameter(name)
        torch.testing.assert_close(found, weight, atol=1e-6, rtol=1e-5)
    # The target moved with every batch.
    assert int(model.target.steps) == 2
