"""Two processes (gloo) train as one process that averages their gradients.

Batch norm statistics are per process, as in the recipe on several GPUs. So
the one process keeps two replicas, each on its own half of the batch, and
averages what they give; parameters must agree after several steps.
"""

import copy
import subprocess
import sys

import numpy as np
import torch
import torch.distributed as dist
from mmengine.model import MMDistributedDataParallel

from hvc_mm.engine.optim_wrappers import bf16_optim_wrapper
from hvc_mm.registry import MODELS
from hvc_mm.structures import PairedViewSample

STEPS = 3


def _half(step, rank):
    """The views and samples that one process sees in one step."""
    generator = torch.Generator().manual_seed(10 * step + rank)
    shape = (2, 2, 3, 32, 32)
    views = torch.randn(shape, generator=generator, dtype=torch.double)
    box = np.array([0.1, 0.1, 0.9, 0.8], np.float32)
    shifted = box + np.float32(0.02 * rank)
    sample = PairedViewSample(metainfo=dict(box1=box, box2=shifted))
    return list(views), [sample, sample.clone()]


def _state(model):
    return {n: p.detach().clone() for n, p in model.named_parameters()}


def _work(rank, folder):
    model = torch.load(f'{folder}/start.pth', weights_only=False)
    torch.set_num_threads(1)
    dist.init_process_group(
        'gloo', f'file://{folder}/store', rank=rank, world_size=2
    )
    model = MMDistributedDataParallel(model, broadcast_buffers=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(STEPS):
        optimizer.zero_grad()
        losses = model(*_half(step, rank), mode='loss')
        sum(losses.values()).backward()
        optimizer.step()
    # Asked alone, the second process would train in bfloat16.
    bf16_optim_wrapper.cpu_bf16_times = lambda: (2.0 + 2 * rank, 3.0)
    assert not bf16_optim_wrapper.use_bf16_on_cpu()
    torch.save(_state(model.module), f'{folder}/rank{rank}.pth')
    dist.barrier()
    dist.destroy_process_group()


def _one_process(model):
    replicas = [model, copy.deepcopy(model)]
    for step in range(STEPS):
        for rank, replica in enumerate(replicas):
            replica.zero_grad()
            losses = replica(*_half(step, rank), mode='loss')
            sum(losses.values()).backward()
        with torch.no_grad():
            for pair in zip(*(r.parameters() for r in replicas)):
                if pair[0].grad is None:
                    continue
                mean = (pair[0].grad + pair[1].grad) / 2
                for parameter in pair:
                    parameter -= 0.1 * mean
    return _state(model)


def test_two_processes_equal_one(hvc_cfg, tmp_path):
    torch.manual_seed(0)
    hvc_cfg['target']['total_steps'] = STEPS
    model = MODELS.build(hvc_cfg).train().double()
    start = _state(model)
    torch.save(model, tmp_path / 'start.pth')
    workers = [
        subprocess.Popen([sys.executable, __file__, str(rank), str(tmp_path)])
        for rank in (0, 1)
    ]
    assert [worker.wait() for worker in workers] == [0, 0]
    ranks = [torch.load(tmp_path / f'rank{r}.pth') for r in (0, 1)]
    expected = _one_process(model)
    for name, value in expected.items():
        torch.testing.assert_close(
            ranks[0][name], ranks[1][name], rtol=0, atol=0
        )
        torch.testing.assert_close(ranks[0][name], value, rtol=1e-6, atol=1e-9)
    moved = [n for n in expected if not torch.equal(expected[n], start[n])]
    assert 'backbone.conv1.weight' in moved
    assert 'target.module.backbone.conv1.weight' in moved


if __name__ == '__main__':
    _work(int(sys.argv[1]), sys.argv[2])
