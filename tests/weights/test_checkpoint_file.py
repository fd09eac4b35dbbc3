import argparse
import os
import pathlib
import warnings

import pytest
import torch
from mmengine.logging import HistoryBuffer

from hvc_mm.weights import CheckpointError, read_checkpoint, sha256_of

# Today's zip format, and the one of files from before torch 1.6.
FORMATS = pytest.mark.parametrize('is_zip', [True, False])


class _Runs:
    def __reduce__(self):
        return os.mkdir, ('made',)


def _save(content, path, is_zip=True):
    torch.save(content, path, _use_new_zipfile_serialization=is_zip)
    return path


@FORMATS
def test_tensors_and_plain_values(tmp_path, is_zip):
    content = {'state_dict': {'w': torch.arange(6.0).view(2, 3)}, 'epoch': 7}
    path = _save(content, tmp_path / 'a.pth', is_zip)
    with warnings.catch_warnings():
        warnings.simplefilter('error')  # a user could do nothing about it
        read = read_checkpoint(path)
    assert read['epoch'] == 7
    assert torch.equal(read['state_dict']['w'], content['state_dict']['w'])


@FORMATS
def test_known_metadata_does_not_stand_in_the_way(tmp_path, is_zip):
    buffer = HistoryBuffer()
    buffer.update(1.5)
    weights = torch.nn.Linear(2, 2).state_dict()
    content = {
        'model': weights,
        'half': torch.nn.Parameter(torch.ones(2, dtype=torch.float16)),
        'args': argparse.Namespace(lr=0.1, device=torch.device('cpu')),
        'message_hub': {'log_scalars': {'train/loss': buffer}},
    }
    read = read_checkpoint(_save(content, tmp_path / 'a.pth', is_zip))
    assert torch.equal(read['model']['weight'], weights['weight'])
    assert read['half'].dtype == torch.float16


@FORMATS
@pytest.mark.parametrize(
    'extra, named', [(_Runs(), 'mkdir'), (pathlib.PurePosixPath('/a'), 'Path')]
)
def test_what_could_run_code_is_refused(
    tmp_path, monkeypatch, is_zip, extra, named
):
    monkeypatch.chdir(tmp_path)
    path = _save({'w': torch.ones(1), 'x': extra}, tmp_path / 'a.pth', is_zip)
    with pytest.raises(CheckpointError, match='refused') as error:
        read_checkpoint(path)
    message = str(error.value)
    assert str(path) in message and named in message
    assert 'torch.save(model.state_dict()' in message
    assert sorted(p.name for p in tmp_path.iterdir()) == ['a.pth']


def test_refused_also_beside_allowed_metadata(tmp_path):
    content = {'args': argparse.Namespace(a=1), 'x': _Runs()}
    path = _save(content, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='refused.*mkdir'):
        read_checkpoint(path)


@pytest.mark.parametrize(
    'content', [b'', b'<!DOCTYPE html><p>not found', b'PK\x03\x04 broken']
)
def test_not_a_checkpoint(tmp_path, content):
    path = tmp_path / 'page.pth'
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="page.pth: can't be read"):
        read_checkpoint(path)


@FORMATS
def test_truncated(tmp_path, is_zip):
    path = _save({'w': torch.ones(5000)}, tmp_path / 'cut.pth', is_zip)
    path.write_bytes(path.read_bytes()[:-9000])
    with pytest.raises(CheckpointError, match="cut.pth: can't be read"):
        read_checkpoint(path)


def test_missing_or_not_a_dict(tmp_path):
    with pytest.raises(CheckpointError, match='no such file'):
        read_checkpoint(tmp_path / 'none.pth')
    path = _save(torch.ones(2), tmp_path / 'tensor.pth')
    with pytest.raises(CheckpointError, match='tensor.pth: holds a Tensor'):
        read_checkpoint(path)


def test_sha256(tmp_path):
    path = tmp_path / 'abc'
    path.write_bytes(b'abc')
    assert sha256_of(path) == (
        'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'
    )
