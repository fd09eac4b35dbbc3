"""bf16 autocast on a CPU."""

import torch
from torch import nn

from hvc_mm.registry import OPTIM_WRAPPERS


def test_autocasts_the_forward_pass_and_steps_in_fp32():
    model = nn.Linear(4, 4)
    wrapper = OPTIM_WRAPPERS.build(
        dict(
            type='hvc_mm.BF16OptimWrapper',
            optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        )
    )
    before = model.weight.detach().clone()
    with wrapper.optim_context(model):
        out = model(torch.ones(2, 4))
    assert out.dtype == torch.bfloat16
    assert model(torch.ones(2, 4)).dtype == torch.float32
    wrapper.update_params(out.float().sum())
    assert model.weight.dtype == torch.float32
    torch.testing.assert_close(model.weight, before - 0.1 * 2)
