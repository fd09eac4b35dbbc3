"""Unpickle checkpoints safely where torch (before 2.6) can't.

There ``weights_only=True`` has no allow-list, so that it refuses what mmengine
saves with the weights, and it can be made to run code (CVE-2025-32434). This
unpickler calls nothing but what rebuilds tensors and plain containers. Of all
other objects that it knows it keeps what the pickle says, and afterwards makes
the real ones of the few that mmengine needs to resume a run.
"""

from __future__ import annotations

import pickle
from collections import Counter, OrderedDict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler

# Methods that checkpoints of mmengine refer to, by their class.
METHODS = {
    HistoryBuffer: ('min', 'max', 'current', 'mean'),
    OneCycleParamScheduler: ('_annealing_cos', '_annealing_linear'),
}

# Immutable types, so that a pickle can't leave attributes on them.
_TYPES = {
    'collections.OrderedDict': OrderedDict,
    'torch.Size': torch.Size,
    'torch.device': torch.device,
    **{str(t): t for t in vars(torch).values() if isinstance(t, torch.dtype)},
}
# Functions that build tensors and plain values.
_BUILDERS = {
    'builtins.set': set,
    '__builtin__.set': set,
    **{
        f'torch._utils.{name}': getattr(torch._utils, name)
        for name in (
            '_rebuild_tensor',
            '_rebuild_tensor_v2',
            '_rebuild_parameter',
            '_rebuild_parameter_with_state',
        )
    },
}
_BUFFER = 'mmengine.logging.history_buffer.HistoryBuffer'
_ONE_CYCLE = 'mmengine.optim.scheduler.param_scheduler.OneCycleParamScheduler'
_OWNERS = {_BUFFER: HistoryBuffer, _ONE_CYCLE: OneCycleParamScheduler}
# Types of the arrays in mmengine's checkpoints, as pickles spell them.
_DTYPES = ('f8', 'f4', 'f2', 'i8', 'i4', 'b1')


def load(path: Path, map_location: Any) -> Any:
    """Load a file like ``torch.load``, and run no code of its pickle.

    Args:
        path: A file that ``torch.save`` wrote.
        map_location: Where tensors go.

    Returns:
        What it holds, e.g. ``{'state_dict': {name: tensor of any shape}}``.

    Raises:
        pickle.UnpicklingError: For a class that is not known.
    """
    # torch.load takes anything with these two names for a module.
    content = torch.load(
        path, map_location=map_location, pickle_module=RestrictedPickle
    )
    return _revived(content)


class RestrictedPickle:
    """Offer what ``torch.load(..., pickle_module=...)`` asks of a module."""

    class Unpickler(pickle.Unpickler):
        """Find the classes and functions on the lists of this file only."""

        def find_class(self, module: str, name: str) -> Any:
            """Return what a pickle may use under this name."""
            full_name = f'{module}.{name}'
            if full_name in _TYPES:
                return _TYPES[full_name]
            # What a pickle gets it can also set attributes on. So it gets a
            # new object each time, never one that lives on.
            if full_name in _BUILDERS:
                return partial(_BUILDERS[full_name])
            if full_name in _REVIVED:
                return type('Record', (_Record,), {'name': full_name})
            raise pickle.UnpicklingError(f'the pickle asks for {full_name}')

    @staticmethod
    def load(file: Any, **kwargs: Any) -> Any:
        """Unpickle one object from a file, as ``pickle.load`` does."""
        return RestrictedPickle.Unpickler(file, **kwargs).load()


class _Record:
    """Keep the arguments and the state of an object that isn't made."""

    name = ''

    def __new__(cls, *args: Any, **_: Any) -> _Record:
        record = super().__new__(cls)
        record.args, record.state = args, None
        if cls.name.endswith('.getattr'):
            _method(record)  # others are refused before they are called
        return record

    def __setstate__(self, state: Any) -> None:
        self.state = state


def _revived(value: Any) -> Any:
    """Put the real objects in the place of records, in containers too."""
    if type(value) in (dict, OrderedDict):
        for key in value:
            value[key] = _revived(value[key])
    elif type(value) is list:
        value[:] = map(_revived, value)
    elif type(value) is tuple:
        return tuple(map(_revived, value))
    elif isinstance(value, _Record):
        return _REVIVED[value.name](value)
    return value


def _buffer(record: _Record) -> HistoryBuffer:
    state = _revived(record.state)
    return HistoryBuffer(
        state['_log_history'], state['_count_history'], state['max_length']
    )


def _counter(record: _Record) -> Counter:
    return Counter({int(key): int(n) for key, n in record.args[0].items()})


def _method(record: _Record) -> Any:
    """Look up one of the expected methods, nothing else."""
    owner, name = record.args
    cls = _OWNERS.get(getattr(owner, 'name', None))
    if name not in METHODS.get(cls, ()):
        raise pickle.UnpicklingError(
            f'the pickle asks for {name} of {getattr(owner, "name", owner)}'
        )
    return getattr(cls, name)


def _bytes(record: _Record) -> bytes:
    text, encoding = record.args
    if encoding != 'latin1':
        raise ValueError(f'bytes as {encoding}, expected latin1')
    return text.encode('latin1')


def _dtype(record: _Record) -> np.dtype:
    if record.args[0] not in _DTYPES:
        raise ValueError(f'an array of {record.args[0]}')
    return np.dtype(record.args[0])


def _array(record: _Record) -> np.ndarray:
    _, shape, dtype, is_fortran, content = map(_revived, record.state)
    array = np.frombuffer(content, dtype)
    return array.reshape(shape, order='F' if is_fortran else 'C').copy()


def _scalar(record: _Record) -> np.generic:
    dtype, content = map(_revived, record.args)
    return np.frombuffer(content, dtype)[0]


def _same(record: _Record) -> _Record:
    return record


# Metadata that is known in checkpoints of the layouts that we read.
_REVIVED = {
    'argparse.Namespace': _same,  # a script's options
    'collections.Counter': _counter,  # the milestones of a MultiStepLR
    _BUFFER: _buffer,
    _ONE_CYCLE: _same,
    '__builtin__.getattr': _method,
    'builtins.getattr': _method,
    '_codecs.encode': _bytes,
    'numpy.dtype': _dtype,
    'numpy.ndarray': _same,
    'numpy.core.multiarray._reconstruct': _array,
    'numpy.core.multiarray.scalar': _scalar,
    'numpy._core.multiarray._reconstruct': _array,
    'numpy._core.multiarray.scalar': _scalar,
}
