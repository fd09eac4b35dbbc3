import re

import pytest
import torch
from mmengine.fileio import get_file_backend

from hvc_mm.checkpoint import CheckpointError
from hvc_mm.engine.work_dir import (
    WHOLE_FILES,
    check_training_state,
    latest_checkpoint,
    refuse_used_folder,
)


def save(folder, name, iteration):
    path = folder / name
    torch.save({'meta': {'iter': iteration, 'epoch': 1}}, path)
    return path


def cut(path):
    path.write_bytes(path.read_bytes()[:-50])


@pytest.fixture
def folder(tmp_path):
    for epoch in (1, 2, 10):
        save(tmp_path, f'epoch_{epoch}.pth', 3 * epoch)
    return tmp_path


def test_the_named_one_by_its_name_alone(folder, tmp_path_factory):
    other = save(tmp_path_factory.mktemp('old'), 'epoch_2.pth', 6)
    (folder / 'last_checkpoint').write_text(f'{other}\n')
    assert latest_checkpoint(folder) == folder / 'epoch_2.pth'
    assert latest_checkpoint(str(folder)) == folder / 'epoch_2.pth'


@pytest.mark.parametrize('text', [None, '', 'no_such.pth', '/old/best.pth'])
def test_else_the_newest(folder, text):
    if text is not None:
        (folder / 'last_checkpoint').write_text(text)
    assert latest_checkpoint(folder) == folder / 'epoch_10.pth'
    # Of two kinds that with more iterations.
    save(folder, 'iter_29.pth', 29)
    assert latest_checkpoint(folder) == folder / 'epoch_10.pth'
    save(folder, 'iter_31.pth', 31)
    assert latest_checkpoint(folder) == folder / 'iter_31.pth'


def test_a_cut_one_is_passed_over(folder):
    (folder / 'last_checkpoint').write_text('epoch_2.pth')
    cut(folder / 'epoch_2.pth')
    # Not epoch 10, which another attempt left.
    assert latest_checkpoint(folder) == folder / 'epoch_1.pth'
    cut(folder / 'epoch_1.pth')
    assert latest_checkpoint(folder) == folder / 'epoch_10.pth'
    cut(folder / 'epoch_10.pth')
    names = 'epoch_10.pth, epoch_2.pth, epoch_1.pth'
    with pytest.raises(CheckpointError, match=f'none of .*{names}'):
        latest_checkpoint(folder)


def test_no_checkpoint_at_all(tmp_path):
    (tmp_path / 'last_checkpoint').write_text('/old/epoch_1.pth')
    (tmp_path / 'backbone.pth').write_bytes(b'')
    assert latest_checkpoint(tmp_path) is None
    assert latest_checkpoint(tmp_path / 'missing') is None
    refuse_used_folder(tmp_path)
    refuse_used_folder(tmp_path / 'missing')


@pytest.mark.parametrize('name', ['epoch_1.pth', 'iter_5.pth', 'best_a_2.pth'])
def test_a_used_folder_is_refused_with_both_ways_out(tmp_path, name):
    save(tmp_path, name, 1)
    message = re.escape(f'{tmp_path} holds checkpoints') + f'.*{name}'
    with pytest.raises(ValueError, match=f'{message}.*--resume.*--work-dir'):
        refuse_used_folder(tmp_path)


def test_plain_weights_are_no_training(tmp_path):
    path = tmp_path / 'plain.pth'
    torch.save({'conv1.weight': torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match=r'plain\.pth: plain weights'):
        check_training_state(path)
    torch.save({'state_dict': {}, 'meta': {}, 'message_hub': {}}, path)
    with pytest.raises(CheckpointError, match=r'meta\.epoch, meta\.iter miss'):
        check_training_state(path)


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path):
    backend = get_file_backend(backend_args=WHOLE_FILES)
    path = tmp_path / 'sub' / 'epoch_1.pth'
    backend.put(b'old', path)
    backend.put(b'new', str(path))
    assert path.read_bytes() == b'new'
    assert [p.name for p in path.parent.iterdir()] == ['epoch_1.pth']
