"""Resumed runs of a small model whose data and steps draw random numbers."""

import itertools
import shutil

import numpy as np
import pytest
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn

from hvc_mm.checkpoint import read_checkpoint
from hvc_mm.models.selfsup import CosineMomentumTarget

IMAGES = 24


class Noisy(BaseModel):
    """A target, dropout, and a draw of numpy in every step."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.5))
        self.target = CosineMomentumTarget(self.net, 0.5)
        self.moments = []

    def forward(self, inputs, mode='tensor', **_):
        self.moments.append(self.target.momentum(int(self.target.steps)))
        self.target.update_parameters(self.net)
        shift = torch.as_tensor(np.random.normal())
        return {'loss': (self.net(torch.stack(inputs)) - shift).abs().mean()}


class Drawn(torch.utils.data.Dataset):
    """Items that are drawn anew whenever they are asked for."""

    metainfo = {}

    def __len__(self):
        return IMAGES

    def __getitem__(self, index):
        draw = np.random.normal(size=1)
        return dict(inputs=torch.tensor([index, *draw]).float())


RUNS = itertools.count()
INSIDE = dict(type='WholeCheckpointHook', by_epoch=False, interval=4)


def build(
    work_dir,
    epochs=3,
    batch_size=4,
    workers=0,
    iters=None,
    checkpoint=INSIDE,
    **options,
):
    """A run of six iterations an epoch."""
    torch.manual_seed(0)
    cfg = dict(type='EpochBasedTrainLoop', max_epochs=epochs)
    if iters:
        cfg = dict(type='IterBasedTrainLoop', max_iters=iters)
    endless = dict(type='InfiniteSampler', shuffle=True)
    shuffled = dict(type='DefaultSampler', shuffle=True)
    return Runner(
        model=Noisy(),
        work_dir=str(work_dir),
        train_dataloader=dict(
            batch_size=batch_size,
            num_workers=workers,
            dataset=Drawn(),
            sampler=endless if iters else shuffled,
            worker_init_fn=dict(type='hvc_mm.seed_worker'),
        ),
        optim_wrapper=dict(optimizer=dict(type='Adam', lr=0.01)),
        train_cfg=cfg,
        default_hooks=dict(
            checkpoint=checkpoint,
            epoch_seed=dict(type='EpochSeedHook'),
            resume=dict(type='ResumeHook'),
        ),
        randomness=dict(seed=1),
        default_scope='hvc_mm',
        experiment_name=f'{work_dir}_{next(RUNS)}'.replace('/', '_'),
        **options,
    )


def assert_equal(path, other):
    found, expected = (read_checkpoint(p)['state_dict'] for p in (path, other))
    assert found.keys() == expected.keys()
    for name in expected:
        assert torch.equal(found[name], expected[name]), name


def log_of(work_dir):
    return '\n'.join(p.read_text() for p in sorted(work_dir.glob('*/*.log')))


@pytest.mark.parametrize('workers', [0, 2])
@pytest.mark.parametrize('iters', [None, 18], ids=['epochs', 'iterations'])
def test_a_checkpoint_inside_an_epoch_goes_on_exactly(
    tmp_path, workers, iters
):
    whole, broken = tmp_path / 'whole', tmp_path / 'broken'
    build(whole, workers=workers, iters=iters).train()
    shutil.copytree(whole, broken)
    for step in (18, 16, 12):
        (broken / f'iter_{step}.pth').unlink()
    (broken / 'last_checkpoint').unlink()
    runner = build(broken, workers=workers, iters=iters, resume=True)
    runner.train()
    assert_equal(broken / 'iter_18.pth', whole / 'iter_18.pth')
    if not iters:
        assert 'loading 2 batches that epoch 2 has seen' in log_of(broken)


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """The folder of a run that ended after two of six epochs."""
    folder = tmp_path_factory.mktemp('trained') / 'run'
    checkpoint = dict(type='WholeCheckpointHook', max_keep_ckpts=3)
    build(folder, epochs=2, checkpoint=checkpoint).train()
    return folder


@pytest.mark.parametrize('enable', [True, False])
@pytest.mark.parametrize('batch_size, now', [(8, 3), (3, 8)])
def test_another_batch_size_brings_the_momentum_to_its_end(
    trained, tmp_path, batch_size, now, enable
):
    folder = tmp_path / 'run'
    shutil.copytree(trained, folder)
    if not enable:  # as 0.1.0 wrote them
        content = read_checkpoint(folder / 'epoch_2.pth')
        del content['meta']['batch_size'], content['random_state']
        torch.save(content, folder / 'epoch_2.pth')
    scale = dict(enable=enable, base_batch_size=4)
    options = dict(batch_size=batch_size, auto_scale_lr=scale)
    runner = build(folder, epochs=4, resume=True, **options)
    runner.train()
    assert len(runner.train_dataloader) == now
    assert runner.iter == int(runner.model.target.steps) == 4 * now
    schedule = CosineMomentumTarget(runner.model.net, 0.5, 4 * now).momentum
    steps = range(2 * now, 4 * now)
    assert runner.model.moments == [schedule(step) for step in steps]
    log = log_of(folder)
    assert f'an epoch has {now} iterations instead of 6' in log
    assert f'iteration 12 counts as {2 * now}, also for the momentum' in log
    other = 4 if enable else 'another one'
    assert f'(batch size {batch_size} instead of {other})' in log
    assert (
        'The learning rate stays as saved (0.01): --auto-scale-lr '
        + ('did not change it' if enable else 'is not set')
        in log
    )
    (rate,) = {g['lr'] for g in runner.optim_wrapper.param_groups}
    assert rate == 0.01


def test_fewer_epochs_than_done_leave_nothing_to_do(trained, tmp_path):
    folder = tmp_path / 'run'
    shutil.copytree(trained, folder)
    content = read_checkpoint(folder / 'epoch_2.pth')
    # Of old files mmengine runs the config as code.
    content['meta']['config'] = f"open({str(tmp_path / 'ran')!r}, 'w')"
    torch.save(content, folder / 'epoch_2.pth')
    build(folder, epochs=1, resume=True).train()
    assert not (tmp_path / 'ran').exists()
    said = 'nothing is left to do: 2 epochs are done, and train_cfg.max_epochs'
    assert f'{said} is 1' in log_of(folder)
    assert_equal(folder / 'epoch_2.pth', trained / 'epoch_2.pth')
