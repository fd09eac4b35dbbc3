import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from hvc_mm.engine.optim_wrappers import bf16_optim_wrapper as module
from hvc_mm.registry import OPTIM_WRAPPERS

# A oneDNN and a torch that know nothing newer: most laptops.
AVX2 = dict(ONEDNN_MAX_CPU_ISA='AVX2', ATEN_CPU_CAPABILITY='avx2')


def _build(model, **kwargs):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return OPTIM_WRAPPERS.build(
        dict(type='hvc_mm.BF16OptimWrapper', optimizer=optimizer, **kwargs)
    )


def test_autocasts_the_forward_pass_and_steps_in_fp32():
    model = nn.Linear(4, 4)
    wrapper = _build(model)
    before = model.weight.detach().clone()
    with wrapper.optim_context(model):
        out = model(torch.ones(2, 4))
    assert out.dtype == torch.bfloat16
    assert model(torch.ones(2, 4)).dtype == torch.float32
    wrapper.update_params(out.float().sum())
    assert model.weight.dtype == torch.float32
    torch.testing.assert_close(model.weight, before - 0.1 * 2)


@pytest.mark.parametrize(
    ('times', 'dtype', 'message'),
    [
        ((0.003, 0.002), torch.bfloat16, 'trains in bfloat16'),
        ((0.003, 0.060), torch.float32, '3.0 ms in fp32, 60.0 ms in bfloat16'),
    ],
)
def test_takes_the_faster_type(times, dtype, message, monkeypatch):
    monkeypatch.setattr(module, 'cpu_bf16_times', lambda: times)
    logged = []
    monkeypatch.setattr(module, 'print_log', lambda x, **_: logged.append(x))
    model = nn.Linear(4, 4)
    wrapper = _build(model, only_if_faster=True)
    with wrapper.optim_context(model):
        assert model(torch.ones(2, 4)).dtype == dtype
    assert len(logged) == 1 and message in logged[0]


def test_times_once_and_leaves_threads_and_random_numbers_alone():
    module.cpu_bf16_times.cache_clear()
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    times = module.cpu_bf16_times()
    assert min(times) > 0 and times is module.cpu_bf16_times()
    assert threads == torch.get_num_threads()
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="the limit is oneDNN's"
)
def test_a_cpu_with_avx2_alone_trains_in_fp32(root_dir):
    code = (
        'from hvc_mm.engine.optim_wrappers import cpu_bf16_times\n'
        'fp32, bf16 = cpu_bf16_times(); assert bf16 > 2 * fp32, (fp32, bf16)'
    )
    environment = dict(os.environ, PYTHONPATH=str(root_dir), **AVX2)
    subprocess.run([sys.executable, '-c', code], env=environment, check=True)
