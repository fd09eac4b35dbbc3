"""Time, peak memory and targets, as the benchmarks measure them.

On a CPU time is the process's: a busy neighbour then costs little. On a GPU
it is wall time up to the end of the queue.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import math
import os
import platform
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional

import torch
from torch.utils.benchmark import Timer

_PROC = Path('/proc/self')
# Of a CPU, by the names that Linux gives them: what the hot paths use.
_UNITS = ('avx2', 'avx512f', 'avx512_bf16', 'amx_bf16')
# Short functions are run again and again for so many seconds a round.
_SECONDS = 0.05
Runs = Mapping[str, Callable[[], object]]


@dataclass
class Target:
    """A figure of the final line; with a bound it must not fall behind it.

    Attributes:
        name: Short name for the final line.
        value: What was measured; None where the machine can't tell.
        bound: What is asked for; None: nothing, for this setting.
        at_most: The value must not exceed the bound (memory) rather than
            reach it (speed).
        form: How numbers are shown.
    """

    name: str
    value: Optional[float]
    bound: Optional[float] = None
    at_most: bool = False
    form: str = 'x{:.1f}'

    @property
    def missed(self) -> bool:
        """Whether the figure is known and on the wrong side, or no number."""
        if self.value is None or self.bound is None:
            return False
        if self.at_most:
            return not self.value <= self.bound
        return not self.value >= self.bound

    def __str__(self) -> str:
        value = 'n/a' if self.value is None else self.form.format(self.value)
        if self.bound is None:
            return f'{self.name} {value}'
        bound = self.form.format(self.bound)
        sign, state = '<=' if self.at_most else '>=', ' MISSED' * self.missed
        return f'{self.name} {value} ({sign} {bound}){state}'


@dataclass
class Report:
    """What a benchmark found: a table, its targets, lines to print below."""

    title: str
    rows: List[Dict[str, Any]] = field(default_factory=list)
    targets: List[Target] = field(default_factory=list)
    notes: List[str] = field(default_factory=list)


def best_times(runs: Runs, repeats: int, device: str) -> Dict[str, float]:
    """Measure the best seconds of functions that are run in turn.

    In each of the repeats a function is run once to warm up, then timed. A
    slow spell of the machine hits all of them alike.
    """
    clock = {} if is_gpu(device) else {'timer': time.process_time}
    clock['num_threads'] = torch.get_num_threads()
    timers = {
        name: Timer('run()', globals={'run': run}, **clock)
        for name, run in runs.items()
    }
    best = dict.fromkeys(runs, math.inf)
    for _ in range(repeats):
        for name, timer in timers.items():
            measured = timer.blocked_autorange(min_run_time=_SECONDS)
            best[name] = min(best[name], *measured.times)
    return best


def peak_memory(run: Callable[[], object], device: str) -> Optional[float]:
    """Measure MB (2^20 bytes) that a call needs beyond what was held.

    On a CPU this is the peak of the resident set, which Linux lets a process
    reset (None where it can't be); on a GPU what torch's allocator gave.
    """
    gc.collect()
    if is_gpu(device):
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        torch.cuda.synchronize(device)
        return (torch.cuda.max_memory_allocated(device) - before) / 2**20
    # Freed blocks that the allocator keeps would hide what a call needs.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    try:
        # 5 resets the peak, see proc(5).
        (_PROC / 'clear_refs').write_text('5')
        before = _resident_mb('VmRSS')
    except OSError:
        return None
    run()
    return _resident_mb('VmHWM') - before


def _resident_mb(name: str) -> float:
    for line in (_PROC / 'status').read_text().splitlines():
        if line.startswith(f'{name}:'):
            return int(line.split()[1]) / 1024
    raise OSError(f'{_PROC}/status has no {name}')


def ratio(dense: Optional[float], ours: Optional[float]) -> Optional[float]:
    """Divide ``dense`` by ``ours``; None where either is not known."""
    if dense is None or ours is None:
        return None
    return dense / ours if ours > 0 else math.inf


def comparison(name: str, seconds: Mapping, memory: Mapping) -> dict:
    """Make a line of a table from figures of ``dense`` and ``ours``."""
    return {
        'what': name,
        'dense s': seconds['dense'],
        'ours s': seconds['ours'],
        'time ratio': ratio(seconds['dense'], seconds['ours']),
        'dense MB': memory['dense'],
        'ours MB': memory['ours'],
        'memory share': ratio(memory['ours'], memory['dense']),
    }


def peak_flops(device: str) -> float:
    """Measure FLOP/s of a square fp32 matrix product, the practical limit."""
    size = 8192 if is_gpu(device) else 1536
    left, right = torch.rand(2, size, size, device=device)
    seconds = best_times({'mm': lambda: left @ right}, 3, device)['mm']
    return 2 * size**3 / seconds


def is_gpu(device: str) -> bool:
    """Tell whether a device is one of CUDA's."""
    return torch.device(device).type == 'cuda'


def environment(device: str) -> Dict[str, str]:
    """Tell what places the figures: versions, device, load."""
    found = {
        'torch': torch.__version__,
        'python': platform.python_version(),
        'device': platform.processor() or platform.machine(),
        'cores': str(os.cpu_count()),
    }
    with contextlib.suppress(OSError, AttributeError):
        found['load'] = ' '.join(f'{load:.2f}' for load in os.getloadavg())
    if is_gpu(device):
        found['device'] = torch.cuda.get_device_name(device)
    elif Path('/proc/cpuinfo').is_file():
        for line in Path('/proc/cpuinfo').read_text().splitlines():
            if line.startswith('model name'):
                found['device'] = line.split(':', 1)[1].strip()
            if line.startswith('flags'):
                units = [unit for unit in _UNITS if unit in line.split()]
                found['units'] = ' '.join(units) or 'none of AVX2 or newer'
    return found
