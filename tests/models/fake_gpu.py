"""A GPU that isn't there: devices are checked, values are not computed."""

from collections import Counter
from contextlib import ExitStack

import pytest
import torch
from torch._subclasses.fake_tensor import (
    FakeTensorMode,
    unset_fake_temporarily,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

aten = torch.ops.aten
# What gives as many values as its inputs say, which the host waits for.
_DATA_DEPENDENT = {
    aten.bincount.default,
    aten.equal.default,
    aten.masked_select.default,
    aten.nonzero.default,
    aten._unique2.default,
    aten.unique_dim.default,
}
_INDEXED = {
    aten.index.Tensor,
    aten.index_put.default,
    aten.index_put_.default,
    aten._index_put_impl_.default,
}


class FakeGPU(TorchDispatchMode):
    """Run work on the CPU as ever, and work on ``cuda`` in FakeTensorMode.

    A tensor on the wrong device raises torch's FakeTensorDeviceMismatchError.
    What the host reads of the GPU has no value there, so each read is
    counted and stubbed: see ``test_device_placement.py``.

    Attributes:
        waits: How often the host waited for the GPU, by what made it wait.
    """

    def __init__(self):
        super().__init__()
        self.fake = FakeTensorMode(allow_non_fake_inputs=True)
        self.waits = Counter()

    def __enter__(self):
        self._stack = ExitStack()
        patch = self._stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(torch.Tensor, 'pin_memory', lambda tensor: tensor)
        patch.setattr(torch.Tensor, 'backward', _backward)
        self._stack.enter_context(self.fake)
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        self._stack.close()

    def __torch_dispatch__(self, op, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        tensors = [t for t in tree_leaves((args, kwargs)) if _is_tensor(t)]
        to = kwargs.get('device')
        from_gpu = any(t.is_cuda for t in tensors)
        to_gpu = to is not None and torch.device(to).type == 'cuda'
        if not from_gpu and not to_gpu:
            with unset_fake_temporarily():
                return op(*args, **kwargs)
        if op is aten._local_scalar_dense.default:
            self._wait('a value')
            return _value(tensors[0].dtype)
        if op is aten.repeat_interleave.Tensor:
            if kwargs.get('output_size') is None:
                self._wait('a size')
                kwargs = {**kwargs, 'output_size': 1}
        if op in _DATA_DEPENDENT:
            self._wait(f'{op}')
            if op is aten.bincount.default:
                return tensors[0].new_zeros(kwargs.get('minlength') or args[2])
            assert op is aten.nonzero.default, f'{op} has no stub'
            return tensors[0].new_zeros(1, tensors[0].dim(), dtype=torch.int64)
        if op in _INDEXED:
            args = (args[0], self._indices(args[1]), *args[2:])
        if op is aten._to_copy.default:
            return self._copy(op, args, kwargs)
        if op is aten.copy_.default and args[0].is_cuda != args[1].is_cuda:
            return self._copy_into(*args)
        return op(*args, **kwargs)

    def _copy(self, op, args, kwargs):
        """Copy to another device or type."""
        (source,) = args
        to = torch.device(kwargs.get('device') or source.device)
        is_late = kwargs.get('non_blocking', False)
        if source.is_cuda and to.type == 'cpu':
            self._wait('a copy to the host')
            kind = kwargs.get('dtype') or source.dtype
            with unset_fake_temporarily():
                return torch.zeros(source.shape, dtype=kind)
        if not source.is_cuda and not is_late:
            self._wait('a copy to the GPU')
        return op(*args, **kwargs)

    def _copy_into(self, target, source, is_late=False):
        """Copy to a tensor on another device."""
        if source.is_cuda:
            self._wait('a copy to the host')
            with unset_fake_temporarily():
                return target.zero_()
        if not is_late:
            self._wait('a copy to the GPU')
        return target

    def _indices(self, indices):
        """Replace masks by the indices that they are turned to."""
        found = []
        for index in indices:
            if index is not None and index.dtype == torch.bool:
                self._wait('a mask as index')
                found += [index.new_zeros(1, dtype=torch.int64)] * index.dim()
            else:
                if index is not None and not index.is_cuda:
                    self._wait('an index on the host')
                found.append(index)
        return found

    def _wait(self, what):
        self.waits[what] += 1


def _is_tensor(value):
    return isinstance(value, torch.Tensor)


def _value(dtype):
    return {torch.bool: True}.get(dtype, 1.0 if dtype.is_floating_point else 1)


def _backward(loss, gradient=None, *_, **__):
    """Walk the graph in Python, every node after all that use it."""
    root = loss.grad_fn
    order, seen, stack = [], set(), [(root, False)]
    while stack:
        node, is_done = stack.pop()
        if is_done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack += [(n, False) for n, _ in node.next_functions if n]
    grads = {root: [torch.ones_like(loss)]}
    for node in reversed(order):
        given = grads.pop(node, [])
        if hasattr(node, 'variable'):
            leaf, (grad,) = node.variable, given
            assert grad.device == leaf.device and grad.shape == leaf.shape
            leaf.grad = grad if leaf.grad is None else leaf.grad + grad
            continue
        outputs = len(node._input_metadata)
        given += [None] * (outputs - len(given))
        # A function of our own, or torch's.
        found = getattr(node, 'apply', node)(*given)
        found = found if isinstance(found, tuple) else (found,)
        for grad, (to, place) in zip(found, node.next_functions):
            if to is None or grad is None:
                continue
            held = grads.setdefault(to, [])
            held += [None] * (place + 1 - len(held))
            own = held[place]
            held[place] = grad if own is None else own + grad
