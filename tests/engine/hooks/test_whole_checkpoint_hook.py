"""Checkpoints of a small model, under kills, full disks and second runs."""

import itertools
import resource
import shutil
import subprocess
import sys

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner

from hvc_mm.checkpoint import CheckpointError, read_checkpoint

# mmengine refuses two runs of one name.
RUNS = itertools.count()


class Line(BaseModel):
    """A few weights, and many that only take space."""

    def __init__(self, size=10):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.register_buffer('filling', torch.zeros(size))

    def forward(self, inputs, mode='tensor', **_):
        return {'loss': (self.weight * torch.stack(inputs) - 1).square().sum()}


def build(work_dir, epochs=2, size=10, hook=None, **options):
    return Runner(
        model=Line(size),
        work_dir=str(work_dir),
        train_dataloader=dict(
            batch_size=1,
            num_workers=0,
            dataset=[dict(inputs=torch.ones(1))] * 2,
            sampler=dict(type='DefaultSampler', shuffle=False),
        ),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
        train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=epochs),
        default_hooks=dict(
            checkpoint=dict(
                type='WholeCheckpointHook', interval=1, **(hook or {})
            ),
            resume=dict(type='ResumeHook'),
        ),
        default_scope='hvc_mm',
        experiment_name=f'{work_dir}_{next(RUNS)}'.replace('/', '_'),
        **options,
    )


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp('trained') / 'run'
    build(folder).train()
    return folder


@pytest.fixture
def run(trained, tmp_path):
    """A copy of a work directory; the old place is still there."""
    return shutil.copytree(trained, tmp_path / 'run')


def names(folder):
    """All but what mmengine dumps of each run's config."""
    files = (path for path in folder.iterdir() if path.is_file())
    return sorted(path.name for path in files if path.suffix != '.py')


def log_of(folder):
    return '\n'.join(p.read_text() for p in sorted(folder.glob('*/*.log')))


def test_a_second_training_is_refused_before_its_first_step(run):
    before = {run / name: (run / name).read_bytes() for name in names(run)}
    with pytest.raises(ValueError, match='--resume.*--work-dir'):
        build(run).train()
    assert all(path.read_bytes() == old for path, old in before.items())
    # Without checkpoints logs and last_checkpoint are no obstacle.
    for path in run.glob('*.pth'):
        path.unlink()
    build(run).train()
    assert {'epoch_1.pth', 'epoch_2.pth'} <= set(names(run))


def test_a_copy_goes_on_from_itself(run, trained):
    before = (trained / 'epoch_2.pth').stat()
    assert str(trained) in (run / 'last_checkpoint').read_text()
    (run / '.epoch_3.999999999-1.partial.pth').write_bytes(b'half')
    build(run, epochs=3, resume=True).train()
    assert f'Load checkpoint from {run}/epoch_2.pth' in log_of(run)
    assert (run / 'last_checkpoint').read_text() == f'{run}/epoch_3.pth'
    assert (trained / 'epoch_2.pth').stat() == before
    assert names(trained) == [n for n in names(run) if n != 'epoch_3.pth']


@pytest.mark.parametrize('state', ['cut', 'empty', 'missing'])
def test_the_newest_whole_checkpoint_is_resumed(run, state):
    last = run / 'last_checkpoint'
    if state == 'cut':
        path = run / 'epoch_2.pth'
        path.write_bytes(path.read_bytes()[:-100])
    elif state == 'empty':
        last.write_text('')
    else:
        last.unlink()
    build(run, epochs=3, resume=True).train()
    log = log_of(run)
    left = 1 if state == 'cut' else 2
    assert f'resumed epoch: {left}, iter: {2 * left}' in log
    if state == 'cut':
        assert f'passed over: {run}/epoch_2.pth' in log
    else:
        assert 'last_checkpoint names no checkpoint here' in log
    assert read_checkpoint(run / 'epoch_3.pth')['meta']['iter'] == 6


def test_what_resume_refuses(run, tmp_path):
    plain = tmp_path / 'plain.pth'
    torch.save({'weight': torch.zeros(1)}, plain)
    with pytest.raises(CheckpointError, match='plain.pth: plain weights'):
        build(tmp_path / 'new', resume=True, load_from=str(plain)).train()
    # A checkpoint from elsewhere would write over those that are here.
    other = shutil.copy(run / 'epoch_1.pth', tmp_path / 'epoch_1.pth')
    with pytest.raises(ValueError, match='holds checkpoints of an earlier'):
        build(run, resume=True, load_from=str(other)).train()
    for path in run.glob('*.pth'):
        path.write_bytes(b'')
    with pytest.raises(CheckpointError, match='none of its checkpoints'):
        build(run, resume=True).train()


def test_nothing_to_resume_starts_from_the_beginning(tmp_path, trained):
    folder = tmp_path / 'new'
    folder.mkdir()
    (folder / 'last_checkpoint').write_text(f'{trained}/epoch_2.pth')
    build(folder, resume=True).train()
    assert 'starts from the beginning' in log_of(folder)
    assert 'resumed epoch' not in log_of(folder)
    assert (folder / 'epoch_2.pth').is_file()


def test_an_outdated_checkpoint_goes_when_the_new_one_is_there(
    tmp_path, monkeypatch
):
    folder = tmp_path / 'run'
    seen = []
    save = Runner.save_checkpoint

    def noted(self, *arguments, **keywords):
        seen.append([p.name for p in folder.glob('*.pth')])
        save(self, *arguments, **keywords)

    monkeypatch.setattr(Runner, 'save_checkpoint', noted)
    build(folder, epochs=3, hook=dict(max_keep_ckpts=1)).train()
    assert seen == [[], ['epoch_1.pth'], ['epoch_2.pth']]
    assert [p.name for p in folder.glob('*.pth')] == ['epoch_3.pth']
    build(folder, 4, hook=dict(max_keep_ckpts=1), resume=True).train()
    assert [p.name for p in folder.glob('*.pth')] == ['epoch_4.pth']


def test_a_full_disk_leaves_the_old_checkpoints(run):
    """The second training's checkpoints are too large for the disk."""
    before = names(run)
    command = [sys.executable, __file__, str(run)]
    done = subprocess.run(command, text=True, capture_output=True)
    assert done.returncode == 1, done.stdout
    last = done.stderr.strip().splitlines()[-1]
    assert f'{run}/epoch_3.pth' in last and 'File too large' in last
    assert names(run) == before
    assert (run / 'last_checkpoint').read_text().endswith('epoch_2.pth')
    read_checkpoint(run / 'epoch_2.pth')


if __name__ == '__main__':
    limit = 1 << 20
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    build(sys.argv[1], 3, size=limit, resume=True).train()
