"""The unpickler for torch before 2.6; it works with any version."""

import argparse
import collections
import io
import os
import pickle

import pytest
import torch
from mmengine.logging import HistoryBuffer

from hvc_mm.checkpoint.old_torch import RestrictedPickle


class _Runs:
    """Unpickles by calling a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def _unpickle(content):
    return RestrictedPickle.load(io.BytesIO(content))


@pytest.mark.parametrize('protocol', [2, 4])
def test_restricted_unpickler(protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = collections.OrderedDict(a=[1, 2.5], b=(None, True), c=torch.half)
    assert _unpickle(pickle.dumps(content, protocol)) == content
    options = argparse.Namespace(lr=0.1)
    read = _unpickle(pickle.dumps([options, 3], protocol))
    assert read[1] == 3 and not hasattr(read[0], 'lr')
    mean = _Runs(getattr, HistoryBuffer, 'mean')
    assert not callable(_unpickle(pickle.dumps([mean], protocol))[0])
    for function, arguments, named in (
        (os.mkdir, ['made'], 'mkdir'),
        (eval, ['1'], 'eval'),
        (getattr, [collections.OrderedDict, 'fromkeys'], 'fromkeys'),
        (getattr, [HistoryBuffer, '__init__'], '__init__'),
    ):
        hostile = pickle.dumps({'x': _Runs(function, *arguments)}, protocol)
        with pytest.raises(pickle.UnpicklingError, match=named):
            _unpickle(hostile)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    'owner, name',
    [(torch._utils, '_rebuild_tensor_v2'), (argparse, 'Namespace')],
)
@pytest.mark.parametrize(
    'state',
    [
        # Attributes as a dict, as slots, and a partial's whole state.
        b'}X\x06\x00\x00\x00hackedK\x01s',
        b'N}X\x06\x00\x00\x00hackedK\x01s\x86',
        b'(ctorch\ndevice\n)}}X\x06\x00\x00\x00hackedK\x01st',
    ],
)
def test_a_pickle_leaves_nothing_on_shared_objects(owner, name, state):
    # GLOBAL, some state, BUILD: sets attributes on what GLOBAL gave.
    wanted = b'\x80\x02c%b\n%b\n' % (owner.__name__.encode(), name.encode())
    try:
        _unpickle(wanted + state + b'b.')
    except (TypeError, AttributeError, pickle.UnpicklingError):
        pass
    assert not hasattr(getattr(owner, name), 'hacked')
    given = _unpickle(wanted + b'.')
    assert not hasattr(given, 'hacked')
    assert getattr(given, 'func', None) is not torch.device
