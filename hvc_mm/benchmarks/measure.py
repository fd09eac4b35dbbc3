"""Time, peak memory and the machine's limit, measured the same way each time.

On a CPU time is the process's, on the one thread that :func:`single_thread`
leaves: a busy neighbour then costs little. On a GPU it is wall time up to the
end of the queue.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import math
import os
import platform
import time
from pathlib import Path
from typing import Callable, Dict, Iterator, Mapping, Optional, Tuple

import torch

_CLEAR_REFS = Path('/proc/self/clear_refs')
_STATUS = Path('/proc/self/status')


@contextlib.contextmanager
def single_thread(device: str = 'cpu') -> Iterator[None]:
    """Run the body on one thread if ``device`` is a CPU."""
    threads = torch.get_num_threads()
    if torch.device(device).type == 'cpu':
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def best_times(
    runs: Mapping[str, Callable[[], object]],
    repeats: int = 3,
    device: str = 'cpu',
    warm_up: bool = True,
) -> Dict[str, float]:
    """Best time of each of several functions, run in turn.

    Running them in turn lets a slow spell of the machine hit all alike.

    Args:
        runs: Functions by name.
        repeats: Rounds; at least 3 is wise.
        device: Whose work is timed.
        warm_up: Run each once before; not needed if all have run already.

    Returns:
        Seconds by name: process time on a CPU, wall time on a GPU.
    """
    best = dict.fromkeys(runs, math.inf)
    for run in runs.values() if warm_up else ():
        run()
    for _ in range(repeats):
        for name, run in runs.items():
            best[name] = min(best[name], timed(run, device))
    return best


def timed(run: Callable[[], object], device: str = 'cpu') -> float:
    """Seconds of one call: process time on a CPU, wall time on a GPU."""
    if torch.device(device).type == 'cpu':
        start = time.process_time()
        run()
        return time.process_time() - start
    torch.cuda.synchronize(device)
    start = time.perf_counter()
    run()
    torch.cuda.synchronize(device)
    return time.perf_counter() - start


def peak_memory(
    run: Callable[[], object], device: str = 'cpu'
) -> Optional[float]:
    """MB (2^20 bytes) that one call needs at its peak, beyond what was held.

    On a CPU the peak of the resident set, which Linux lets a process reset;
    None where it can't be. On a GPU what torch's allocator handed out.
    """
    gc.collect()
    if torch.device(device).type == 'cuda':
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
        _CLEAR_REFS.write_text('5')
        before = _resident('VmRSS')
        run()
        return (_resident('VmHWM') - before) / 2**20
    except OSError:
        return None


def peaks_and_times(
    runs: Mapping[str, Callable[[], object]],
    repeats: int = 3,
    device: str = 'cpu',
) -> Tuple[Dict[str, Optional[float]], Dict[str, float]]:
    """Peak memory and best time of several functions.

    The round that measures memory counts as the first one of ``repeats``.

    Args:
        runs: Functions by name.
        repeats: Rounds, at least 1.
        device: Whose work is measured.

    Returns:
        :func:`peak_memory` and :func:`best_times` by name.
    """
    first: Dict[str, float] = {}

    def once(name: str) -> None:
        first[name] = timed(runs[name], device)

    peaks = {
        name: peak_memory(lambda n=name: once(n), device) for name in runs
    }
    later = best_times(runs, repeats - 1, device, warm_up=False)
    return peaks, {name: min(first[name], later[name]) for name in runs}


def _resident(field: str) -> int:
    """Bytes of a ``Vm*`` line of the process's status."""
    for line in _STATUS.read_text().splitlines():
        if line.startswith(field + ':'):
            return int(line.split()[1]) * 1024
    raise OSError(f'{_STATUS} has no {field}')


def peak_flops(
    device: str = 'cpu',
    dtype: torch.dtype = torch.float32,
    size: Optional[int] = None,
) -> float:
    """FLOP/s of a square matrix product, the practical limit of the device.

    Args:
        device: On a CPU, torch's current number of threads is used.
        dtype: Of the factors.
        size: Rows; 1536 on a CPU and 8192 on a GPU by default.
    """
    size = size or (1536 if torch.device(device).type == 'cpu' else 8192)
    left, right = torch.rand(2, size, size, device=device).to(dtype)
    best = best_times({'mm': lambda: left @ right}, 5, device)['mm']
    return 2 * size**3 / best


def environment(device: str = 'cpu') -> Dict[str, str]:
    """What a reader needs to place the figures: versions, threads, load."""
    found = {
        'torch': torch.__version__,
        'python': platform.python_version(),
        'device': _device_name(device),
        'cores': str(os.cpu_count()),
    }
    with contextlib.suppress(OSError, AttributeError):
        found['load'] = ' '.join(f'{load:.2f}' for load in os.getloadavg())
    return found


def _device_name(device: str) -> str:
    if torch.device(device).type == 'cuda':
        return torch.cuda.get_device_name(device)
    with contextlib.suppress(OSError):
        for line in Path('/proc/cpuinfo').read_text().splitlines():
            if line.startswith('model name'):
                return line.split(':', 1)[1].strip()
    return platform.processor() or platform.machine()
