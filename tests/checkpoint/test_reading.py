"""Files: read safely, or refused by name."""

import argparse
import collections
import os
import pathlib
import pickle
import re
import struct
import sys
import tarfile
import warnings
import zipfile

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

from hvc_mm.checkpoint import (
    CheckpointError,
    allow_checkpoint_classes,
    read_checkpoint,
    sha256_of,
)

# Today's zip format, and the one of files from before torch 1.6.
FORMATS = pytest.mark.parametrize('is_zip', [True, False])


class _Runs:
    """Unpickles by calling a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def _save(content, path, is_zip=True):
    torch.save(content, path, _use_new_zipfile_serialization=is_zip)
    return path


@pytest.mark.parametrize('core', [b'core', b'_core'])
def test_arrays_of_numpy_1_and_2_are_read(tmp_path, core):
    """Whichever of them this one is: a run goes on in a newer environment."""
    content = dict(lrs=np.arange(4.0), best=np.float64(3.5))
    with zipfile.ZipFile(_save(content, tmp_path / 'a.pth')) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(tmp_path / 'b.pth', 'w') as archive:
        for name, data in parts.items():
            if name.endswith('data.pkl'):
                data, changed = re.subn(
                    rb'numpy\._?core\.', b'numpy.' + core + b'.', data
                )
                assert changed == 2
            archive.writestr(name, data)
    read = read_checkpoint(tmp_path / 'b.pth')
    assert read['best'] == 3.5 and read['lrs'].tolist() == [0, 1, 2, 3]


@FORMATS
def test_weights_and_known_metadata_are_read(tmp_path, is_zip):
    buffer = HistoryBuffer([1.5, 2.25], [1, 3])
    weights = torch.nn.Linear(2, 2).state_dict()
    content = {
        'model': weights,
        'epoch': 7,
        'half': torch.nn.Parameter(torch.ones(2, dtype=torch.float16)),
        'args': argparse.Namespace(lr=0.1, device=torch.device('cpu')),
        'milestones': collections.Counter([8, 11, 11]),
        'message_hub': {'log_scalars': {'train/loss': buffer}},
        'best': np.float64(3.5),
        'order': [np.arange(6.0).reshape(2, 3).T],
        'seen': {1, 2},
    }
    path = _save(content, tmp_path / 'a.pth', is_zip)
    with warnings.catch_warnings():
        warnings.simplefilter('error')  # a user could do nothing about it
        read = read_checkpoint(path)
    assert torch.equal(read['model']['weight'], weights['weight'])
    assert read['half'].dtype == torch.float16
    for key in ('epoch', 'milestones', 'best', 'seen'):
        assert read[key] == content[key]
        assert type(read[key]) is type(content[key])
    assert np.array_equal(read['order'][0], content['order'][0])
    # A run that is resumed goes on with its logged scalars.
    found = read['message_hub']['log_scalars']['train/loss']
    assert type(found) is HistoryBuffer and found.max_length == 1000000
    assert np.array_equal(found.data, buffer.data)
    found.update(3.0)
    assert found.current() == 3 and buffer.current() == 2.25


@FORMATS
@pytest.mark.parametrize(
    'extra, named',
    [
        (_Runs(os.mkdir, 'made'), 'mkdir'),
        (_Runs(eval, '1'), 'eval'),
        (_Runs(__import__, 'antigravity'), '__import__'),
        (_Runs(getattr, argparse.Namespace, '__init__'), '__init__'),
        (pathlib.PurePosixPath('/a'), 'Path'),
    ],
)
def test_what_could_run_code_is_refused(
    tmp_path, monkeypatch, is_zip, extra, named
):
    monkeypatch.chdir(tmp_path)
    # Also next to metadata that is allowed.
    content = {'w': torch.ones(1), 'a': argparse.Namespace(a=1), 'x': extra}
    path = _save(content, tmp_path / 'a.pth', is_zip)
    with pytest.raises(CheckpointError, match='refused') as error:
        read_checkpoint(path)
    message = str(error.value)
    assert str(path) in message and named in message
    assert 'torch.save(model.state_dict()' in message
    assert sorted(p.name for p in tmp_path.iterdir()) == ['a.pth']


@pytest.mark.skipif(
    not hasattr(torch.serialization, 'add_safe_globals'),
    reason='this torch has no allow-list',
)
def test_other_projects_read_checkpoints_where_torch_is_strict(tmp_path):
    allow_checkpoint_classes()
    buffer = HistoryBuffer([1.0, 2.0], [1, 1])
    content = {'hub': {'loss': buffer, 'n': np.float64(3)}}
    path = _save(dict(content, a=argparse.Namespace()), tmp_path / 'a')
    loaded = torch.load(path, weights_only=True)
    assert loaded['hub']['loss'].mean() == 1.5
    path = _save({'x': pathlib.PurePosixPath('/a')}, tmp_path / 'b')
    with pytest.raises(Exception, match='PurePosixPath'):
        torch.load(path, weights_only=True)


@pytest.mark.parametrize(
    'content',
    [b'', b'<!DOCTYPE html><p>not found', b'PK\x03\x04 broken', True, False],
)
def test_damaged_files(tmp_path, content):
    path = tmp_path / 'page.pth'
    if isinstance(content, bool):
        _save({'w': torch.ones(5000)}, path, is_zip=content)
        content = path.read_bytes()[:-9000]
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="page.pth: can't be read"):
        read_checkpoint(path)


def test_a_flipped_bit_is_noticed(tmp_path):
    path = _save({'w': torch.ones(5000)}, tmp_path / 'a.pth')
    content = bytearray(path.read_bytes())
    at = content.index(struct.pack('<f', 1.0) * 8) + 4001
    content[at] ^= 1
    path.write_bytes(content)
    # torch itself reads it.
    assert (torch.load(path, weights_only=True)['w'] != 1).sum() == 1
    with pytest.raises(CheckpointError, match=r'a\.pth: is damaged: .*data/0'):
        read_checkpoint(path)


@pytest.mark.parametrize(
    'content, said',
    [
        (b'version https://git-lfs.github.com/spec/v1\noid a', 'git lfs pull'),
        (b'{"metadata": {}, "weight_map": {}}', 'AutoModel.from_pretrained'),
        (pickle.dumps({'w': np.ones(3)}), 'plain pickle'),
        ('tar', 'tar archive'),
        ('script', 'TorchScript'),
    ],
)
def test_other_formats_are_named(tmp_path, content, said):
    path = tmp_path / 'a.pth'
    if content == 'tar':
        with tarfile.open(path, 'w') as archive:
            archive.add(__file__, 'storages')
    elif content == 'script':
        torch.jit.script(torch.nn.Linear(1, 1)).save(str(path))
    else:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf'a\.pth: is (a|the) .*{said}'):
        read_checkpoint(path)


def test_safetensors(tmp_path):
    torch_file = pytest.importorskip('safetensors.torch')
    tensors = {'a.weight': torch.randn(2, 3), 'b': torch.ones(1).bfloat16()}
    path = tmp_path / 'model.safetensors'
    torch_file.save_file(tensors, path)
    for place in ('cpu', torch.device('cpu'), None):
        read = read_checkpoint(path, place)
        assert read.keys() == tensors.keys()
        assert all(torch.equal(read[name], tensors[name]) for name in read)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(CheckpointError, match="model.safetensors: can't be"):
        read_checkpoint(path)


def test_safetensors_that_are_not_installed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'safetensors.torch', None)
    path = tmp_path / 'model.safetensors'
    path.write_bytes(struct.pack('<Q', 2) + b'{}')
    with pytest.raises(CheckpointError, match='pip install safetensors.*load'):
        read_checkpoint(path)


def test_no_file_or_not_a_dict(tmp_path):
    with pytest.raises(CheckpointError, match='no such file'):
        read_checkpoint(tmp_path / 'none.pth')
    (tmp_path / 'hub').mkdir()
    (tmp_path / 'hub' / 'model.safetensors').touch()
    with pytest.raises(CheckpointError, match='hub: is a folder.*model.safe'):
        read_checkpoint(tmp_path / 'hub')
    path = _save(torch.ones(2), tmp_path / 'tensor.pth')
    with pytest.raises(CheckpointError, match='tensor.pth: holds a Tensor'):
        read_checkpoint(path)


def test_sha256(tmp_path):
    (tmp_path / 'abc').write_bytes(b'abc')
    assert sha256_of(tmp_path / 'abc') == (
        'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'
    )
