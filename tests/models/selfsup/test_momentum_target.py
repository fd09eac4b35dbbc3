import math

import pytest
import torch
from mmengine.logging import MessageHub
from torch import nn

from hvc_mm.models.selfsup import CosineMomentumTarget


def _online():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3))


def test_schedule_follows_the_formula():
    target = CosineMomentumTarget(_online(), 0.99, total_steps=10)
    for step in range(11):
        expected = 1 - 0.01 * (math.cos(math.pi * step / 10) + 1) / 2
        assert target.momentum(step) == pytest.approx(expected, abs=1e-15)
    assert target.momentum(0) == pytest.approx(0.99)
    assert target.momentum(10) == target.momentum(50) == 1


def test_averages_parameters_and_leaves_buffers_alone():
    online = _online()
    target = CosineMomentumTarget(online, 0.9, total_steps=4)
    with torch.no_grad():
        online[0].weight.fill_(1.0)
    target.update_parameters(online)  # the first update copies
    assert target.module[0].weight.eq(1).all()
    expected = torch.ones_like(online[0].weight)
    online[1].running_mean.fill_(7.0)
    for step in range(1, 4):
        with torch.no_grad():
            online[0].weight.fill_(float(step + 1))
        target.update_parameters(online)
        m = target.momentum(step)
        expected = m * expected + (1 - m) * (step + 1)
    torch.testing.assert_close(target.module[0].weight, expected)
    assert target.module[1].running_mean.eq(0).all()
    assert not any(p.requires_grad for p in target.module.parameters())


def test_step_count_is_saved_and_resumed():
    online = _online()
    target = CosineMomentumTarget(online, 0.5, total_steps=6)
    for _ in range(3):
        target.update_parameters(online)
    resumed = CosineMomentumTarget(online, 0.5, total_steps=6)
    resumed.update_parameters(online)
    resumed.load_state_dict(target.state_dict())
    assert int(resumed.steps) == 3
    with torch.no_grad():
        online[0].weight.mul_(3)
    target.update_parameters(online)
    resumed.update_parameters(online)
    torch.testing.assert_close(
        resumed.module[0].weight, target.module[0].weight, rtol=0, atol=0
    )


def test_learns_the_length_from_the_run():
    target = CosineMomentumTarget(_online(), 0.99)
    hub = MessageHub.get_instance('momentum-test')
    hub.update_info('max_iters', 20)
    MessageHub._instance_dict.move_to_end('momentum-test')
    assert target.momentum(10) == pytest.approx(0.995)
    hub.pop_info('max_iters')
    with pytest.raises(RuntimeError, match='total_steps'):
        target.momentum(1)


def test_refuses_a_momentum_out_of_range():
    with pytest.raises(ValueError, match='1.5'):
        CosineMomentumTarget(_online(), 1.5)
