from types import SimpleNamespace

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from mmengine.runner import Runner, find_latest_checkpoint

from hvc_mm.engine.hooks import TimeBudgetHook, time_budget_hook


class Line(BaseModel):
    """One weight; notes the length of the run that each step was told."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.told = []

    def forward(self, inputs, mode='tensor', **_):
        hub = MessageHub.get_current_instance()
        self.told.append(hub.get_info('max_iters'))
        return {'loss': (self.weight * torch.stack(inputs) - 1).square().sum()}


@pytest.fixture
def clock(monkeypatch):
    """Seconds that only the test moves."""
    state = SimpleNamespace(seconds=100.0)
    state.monotonic = lambda: state.seconds
    monkeypatch.setattr(time_budget_hook, 'time', state)
    return state


def train(tmp_path, clock, minutes, seconds, max_iters=1000, **options):
    """Train with iterations that take so many seconds each."""
    model, durations = Line(), iter(seconds)
    step = model.train_step

    def timed(*arguments, **keywords):
        clock.seconds += next(durations)
        return step(*arguments, **keywords)

    model.train_step = timed
    runner = Runner(
        model=model,
        work_dir=str(tmp_path),
        train_dataloader=dict(
            batch_size=1,
            num_workers=0,
            dataset=[dict(inputs=torch.ones(1))] * 4,
            sampler=dict(type='InfiniteSampler'),
        ),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=max_iters),
        default_hooks=dict(
            checkpoint=dict(
                type='CheckpointHook', by_epoch=False, interval=10**6
            )
        ),
        custom_hooks=[TimeBudgetHook(minutes)],
        default_scope='hvc_mm',
        experiment_name=f'{tmp_path.name}{clock.seconds}',
        **options,
    )
    runner.train()
    return runner, model.told


def test_it_ends_by_the_clock_and_tells_how_long_it_will_be(tmp_path, clock):
    # Half a minute: the first iteration is slow.
    runner, told = train(tmp_path, clock, 0.5, [12, 6, 6, 6, 60])
    assert runner.iter == 4
    # 30 / 12 iterations were to be expected first, then 2 * 30 / 18, ...
    assert told[1:] == [2, 3, 4]
    assert MessageHub.get_current_instance().get_info('max_iters') == 4
    latest = find_latest_checkpoint(str(tmp_path))
    assert latest == str(tmp_path / 'iter_4.pth')
    assert torch.load(latest, weights_only=False)['meta']['iter'] == 4
    (log,) = tmp_path.glob('*/*.log')
    plan = '12.0 s: about 3 of 1000 iterations fit in 0.5 minutes and take 0.5'
    assert plan in log.read_text()


def test_a_resumed_run_has_its_time_again(tmp_path, clock):
    train(tmp_path, clock, 0.5, [10.1, 20])
    (log,) = tmp_path.glob('*/*.log')
    assert '10.1 s: about 3 of 1000 iterations fit' in log.read_text()
    runner, told = train(tmp_path, clock, 0.5, [10] * 9, resume=True)
    assert runner.iter == 2 + 3
    assert told[1:] == [5, 5]
    assert find_latest_checkpoint(str(tmp_path)).endswith('iter_5.pth')


def test_a_run_that_is_done_before_is_left_alone(tmp_path, clock):
    runner, told = train(tmp_path, clock, 1, [1] * 9, max_iters=3)
    assert runner.iter == 3
    assert told == [3, 3, 3]
    assert not runner.train_loop.stop_training


@pytest.mark.parametrize('minutes', [0, -1, float('nan')])
def test_no_time_is_an_error(minutes):
    with pytest.raises(ValueError, match='expected more than 0'):
        TimeBudgetHook(minutes)
