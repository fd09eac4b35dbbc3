"""Mixed precision in bfloat16, on a CPU too."""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from functools import lru_cache
from typing import Iterator, Tuple

import torch
from mmengine.dist import broadcast, is_main_process
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from torch import nn
from torch.nn import functional as F

from hvc_mm.registry import OPTIM_WRAPPERS

# Shape of the timed convolution's input: large enough that the products
# outweigh the overhead, small enough for half a second where bfloat16 is 14
# times slower.
_TRIAL = (1, 128, 24, 24)
# The first round is the warm-up; the faster of the others counts.
_ROUNDS = 3


@OPTIM_WRAPPERS.register_module()
class BF16OptimWrapper(OptimWrapper):
    """Autocast to bfloat16 without a loss scaler.

    bfloat16 has the exponent range of fp32, so gradients need no scaling;
    mmengine's ``AmpOptimWrapper`` always scales and refuses a CPU. Arguments
    are those of :class:`mmengine.optim.OptimWrapper`, and:

    Args:
        only_if_faster: Train in fp32 on a CPU whose bfloat16 is slower (one
            without AVX-512 bfloat16 or AMX units), see
            :func:`use_bf16_on_cpu`. A GPU always trains in bfloat16.
    """

    def __init__(self, *args, only_if_faster: bool = False, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        device = self.param_groups[0]['params'][0].device
        is_judged = only_if_faster and device.type == 'cpu'
        self.enabled = not is_judged or use_bf16_on_cpu()

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Run a forward pass under autocast, on the model's device.

        Args:
            model: The model in training (plain or wrapped).
        """
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(
            device, dtype=torch.bfloat16, enabled=self.enabled
        ):
            yield


def use_bf16_on_cpu() -> bool:
    """Decide whether to train on this CPU in bfloat16, and log it.

    The first process decides for all of a run, so that they train alike.

    Returns:
        True where bfloat16 is the faster type.
    """
    times = torch.zeros(2)
    if is_main_process():
        times += torch.tensor(cpu_bf16_times())
    broadcast(times)
    fp32, bf16 = times.tolist()
    print_log(
        f'a small convolution takes {1e3 * fp32:.1f} ms in fp32, '
        f'{1e3 * bf16:.1f} ms in bfloat16 on this CPU: mixed precision '
        + ('trains in bfloat16' if bf16 < fp32 else 'is off, fp32 is faster'),
        logger='current',
    )
    return bf16 < fp32


@lru_cache(maxsize=None)
def cpu_bf16_times() -> Tuple[float, float]:
    """Time a small convolution, forward and backward, in both types.

    It is timed once per process, on one thread and by the process's own
    time, so that a busy machine changes the answer little. CPUs with
    bfloat16 units take .5 to .7 times as long as in fp32, AVX-512 without
    them 2.5 times, AVX2 12 to 20 times.

    Returns:
        Seconds in fp32 and in bfloat16.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    rounds = [(_seconds(False), _seconds(True)) for _ in range(_ROUNDS)]
    torch.set_num_threads(threads)
    fp32, bf16 = (min(times) for times in zip(*rounds[1:]))
    return fp32, bf16


def _seconds(bf16: bool) -> float:
    """Measure the CPU time of a 3x3 convolution, forward and backward.

    Infinite where it can't be computed.
    """
    channels = _TRIAL[1]
    # Constants leave torch's random numbers as they are.
    dtype = torch.bfloat16 if bf16 else torch.float32
    images = torch.ones(_TRIAL, dtype=dtype).requires_grad_()
    weight = torch.ones(channels, channels, 3, 3, requires_grad=True)
    start = time.process_time()
    try:
        with torch.autocast('cpu', dtype=torch.bfloat16, enabled=bf16):
            out = F.conv2d(images, weight, padding=1)
        out.backward(torch.ones_like(out))
    except RuntimeError:
        # Some builds of oneDNN have no bfloat16 kernel for this CPU.
        return math.inf
    return time.process_time() - start
