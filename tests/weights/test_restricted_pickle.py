import argparse
import io
import os
import pickle
from collections import OrderedDict

import pytest
import torch

from hvc_mm.weights import restricted_pickle
from hvc_mm.weights.restricted_pickle import ForbiddenGlobalError


def _read(content: bytes):
    return restricted_pickle.load(io.BytesIO(content))


class _Runs:
    """Unpickles by calling a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize('protocol', [2, 4])
def test_plain_content_is_read_as_it_is(protocol):
    content = OrderedDict(a=[1, 2.5, 'x'], b=(None, True), c=torch.float16)
    assert _read(pickle.dumps(content, protocol)) == content


@pytest.mark.parametrize('protocol', [2, 4])
def test_metadata_is_passed_over(protocol):
    options = argparse.Namespace(lr=0.1, data='coco')
    result = _read(pickle.dumps({'args': options, 'epoch': 3}, protocol))
    assert result['epoch'] == 3
    assert not isinstance(result['args'], argparse.Namespace)
    assert not hasattr(result['args'], 'lr')


@pytest.mark.parametrize('protocol', [2, 4])
@pytest.mark.parametrize(
    'function, argument',
    [(os.mkdir, 'made'), (eval, '1'), (__import__, 'antigravity')],
)
def test_everything_else_is_refused_before_it_runs(
    protocol, function, argument, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    content = pickle.dumps({'x': _Runs(function, argument)}, protocol)
    with pytest.raises(ForbiddenGlobalError, match=function.__name__) as error:
        _read(content)
    assert error.value.wanted.endswith(f'.{function.__name__}')
    assert list(tmp_path.iterdir()) == []


def test_getattr_reaches_nothing():
    result = _read(pickle.dumps([_Runs(getattr, OrderedDict, 'fromkeys')]))
    assert not callable(result[0])


@pytest.mark.parametrize(
    'module, name, owner',
    [
        ('torch._utils', '_rebuild_tensor_v2', torch._utils),
        ('argparse', 'Namespace', argparse),
    ],
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
def test_nothing_can_be_left_on_shared_objects(module, name, owner, state):
    # GLOBAL, some state, BUILD: sets attributes on what GLOBAL gave.
    hostile = b'\x80\x02c%b\n%b\n%bb.' % (
        module.encode(),
        name.encode(),
        state,
    )
    try:
        _read(hostile)
    except (TypeError, AttributeError, pickle.UnpicklingError):
        pass
    assert not hasattr(getattr(owner, name), 'hacked')
    given = _read(b'\x80\x02c%b\n%b\n.' % (module.encode(), name.encode()))
    assert not hasattr(given, 'hacked')
    assert getattr(given, 'func', None) is not torch.device
