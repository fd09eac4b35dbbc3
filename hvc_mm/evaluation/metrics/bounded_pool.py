"""Worker processes whose queue can't grow: scoring beside the network."""

from __future__ import annotations

import multiprocessing
from collections import deque
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Callable, Deque, Optional, Tuple

import cv2

# Imported once by the fork server and shared by all workers; torch comes
# along with it, so each worker would otherwise pay seconds for its import.
_PRELOAD = ['hvc_mm.evaluation']
# Jobs under way for each worker. One computes, one waits for it to finish.
_JOBS_PER_WORKER = 2


class BoundedPool:
    """Runs jobs in worker processes and hands their results over in order.

    At most two jobs per worker are under way: a further `submit` waits for
    the oldest one. So memory doesn't depend on how much faster jobs come
    than they are done.

    Workers come from a fork server (from a plain spawn where there is
    none), never from a fork of this process, which may hold a CUDA context
    and threads. As with any such worker, a script that uses it needs
    ``if __name__ == '__main__':``.

    Args:
        num_workers: Number of processes, started with the first job. 0: jobs
            run here, at once.
        on_result: Called as ``on_result(key, result)`` for every job, in the
            order of submission, in this process (inside `submit` and
            `drain`).

    Raises:
        ValueError: ``num_workers`` is negative.
    """

    def __init__(
        self, num_workers: int, on_result: Callable[[Any, Any], None]
    ) -> None:
        if num_workers < 0:
            raise ValueError(f'num_workers must be >= 0, not {num_workers}')
        self.num_workers = num_workers
        self._on_result = on_result
        self._executor: Optional[ProcessPoolExecutor] = None
        self._pending: Deque[Tuple[Any, Future]] = deque()

    def submit(self, key: Any, function: Callable, *args: Any) -> None:
        """Queue ``function(*args)``; waits while the queue is full.

        Args:
            key: Given back with the result; stays in this process.
            function: A function of a module, so that workers can find it.
            args: What to call it with; must pickle.

        Raises:
            Exception: What an earlier job raised.
            RuntimeError: A worker process died.
        """
        if self.num_workers == 0:
            self._on_result(key, function(*args))
            return
        if self._executor is None:
            self._executor = _start(self.num_workers)
        limit = _JOBS_PER_WORKER * self.num_workers
        while self._pending and (
            len(self._pending) >= limit or self._pending[0][1].done()
        ):
            self._deliver()
        try:
            future = self._executor.submit(function, *args)
        except BrokenProcessPool as error:
            raise _died() from error
        self._pending.append((key, future))

    def drain(self) -> None:
        """Wait for all jobs and hand their results over.

        Raises:
            Exception: What a job raised.
            RuntimeError: A worker process died.
        """
        while self._pending:
            self._deliver()

    def close(self) -> None:
        """End the workers; jobs that are still queued are dropped."""
        for _, future in self._pending:
            future.cancel()
        self._pending.clear()
        if self._executor is not None:
            self._executor.shutdown(wait=True)
            self._executor = None

    def _deliver(self) -> None:
        key, future = self._pending.popleft()
        try:
            result = future.result()
        except BrokenProcessPool as error:
            raise _died() from error
        self._on_result(key, result)


def _start(num_workers: int) -> ProcessPoolExecutor:
    methods = multiprocessing.get_all_start_methods()
    method = 'forkserver' if 'forkserver' in methods else 'spawn'
    context = multiprocessing.get_context(method)
    if method == 'forkserver':
        context.set_forkserver_preload(_PRELOAD)
    return ProcessPoolExecutor(
        num_workers, mp_context=context, initializer=_one_thread
    )


def _one_thread() -> None:
    # The processes are the parallelism; OpenCV's own threads would only
    # take the cores from the network.
    cv2.setNumThreads(1)


def _died() -> RuntimeError:
    return RuntimeError(
        'a scoring worker died (killed, or out of memory?); '
        '`num_workers=0` scores in the main process'
    )
