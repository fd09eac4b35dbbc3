"""An unpickler that builds tensors and plain containers, nothing else.

It has the two names that ``torch.load(..., pickle_module=...)`` asks of a
module, ``Unpickler`` and ``load``. It serves torch before 2.6: there the
check ``weights_only=True`` can't be told that a training script's options
(``argparse.Namespace``) or logged scalars are harmless. Here such metadata is
not rebuilt at all: an inert object takes its place, so that no code but that
of tensors and containers runs.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from functools import partial
from typing import IO, Any

import torch

__all__ = ['ForbiddenGlobalError', 'Unpickler', 'load']

# Immutable types, so that a pickle can't leave attributes on them.
_TYPES = {
    ('collections', 'OrderedDict'): OrderedDict,
    ('torch', 'Size'): torch.Size,
    ('torch', 'device'): torch.device,
    **{
        ('torch', name): value
        for name, value in vars(torch).items()
        if isinstance(value, torch.dtype)
    },
}
_REBUILD = {
    '_rebuild_tensor',
    '_rebuild_tensor_v2',
    '_rebuild_parameter',
    '_rebuild_parameter_with_state',
}
# Metadata that is known in checkpoints of the layouts that we read.
_INERT = {
    ('argparse', 'Namespace'),
    ('mmengine.logging.history_buffer', 'HistoryBuffer'),
    # Methods of HistoryBuffer are pickled as a call of getattr.
    ('__builtin__', 'getattr'),
    ('builtins', 'getattr'),
    ('_codecs', 'encode'),
    ('numpy', 'dtype'),
    ('numpy', 'ndarray'),
    ('numpy.core.multiarray', '_reconstruct'),
    ('numpy.core.multiarray', 'scalar'),
    ('numpy._core.multiarray', '_reconstruct'),
    ('numpy._core.multiarray', 'scalar'),
}


class ForbiddenGlobalError(pickle.UnpicklingError):
    """The pickle asks for a class or function that is not allowed.

    Attributes:
        wanted: Its full name, e.g. ``'os.system'``.
    """

    def __init__(self, wanted: str) -> None:
        super().__init__(f'the pickle asks for {wanted}')
        self.wanted = wanted


class _Inert:
    """Stands for metadata: takes any arguments and state, keeps none."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


class Unpickler(pickle.Unpickler):
    """Finds the classes and functions on the lists above only.

    Raises:
        ForbiddenGlobalError: By ``load`` for any other one.
    """

    def find_class(self, module: str, name: str) -> Any:
        """Give what a pickle may use under this name."""
        if (module, name) in _TYPES:
            return _TYPES[module, name]
        # What a pickle gets it can also set attributes on. So it gets a new
        # object each time, never one that lives on.
        if module == 'torch._utils' and name in _REBUILD:
            return partial(getattr(torch._utils, name))
        if (module, name) in _INERT:
            return type('Inert', (_Inert,), {})
        raise ForbiddenGlobalError(f'{module}.{name}')


def load(file: IO[bytes], **kwargs: Any) -> Any:
    """Unpickle one object from a file, as ``pickle.load`` does."""
    return Unpickler(file, **kwargs).load()
