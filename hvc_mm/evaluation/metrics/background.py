"""Frames to score, and workers that do it in the background.

Legend: H, W: height and width of a frame in pixels.
"""

from __future__ import annotations

import multiprocessing
from collections import deque
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Callable, Deque, NamedTuple, Optional, Tuple

import cv2
import numpy as np

from hvc_mm.datasets.image_io import read_id_mask

# Imported once by the fork server and shared by all workers; torch comes
# along with it, so each worker would otherwise pay seconds for its import.
_PRELOAD = ['hvc_mm.evaluation']


class FrameJob(NamedTuple):
    """A predicted frame on its way to a worker.

    Attributes:
        name: ``<video>/<frame_name>``.
        gt_path: Its annotation file, if there is one.
        pred: ``(H, W)`` uint8, the predicted ids.
    """

    name: str
    gt_path: Optional[str]
    pred: np.ndarray

    @classmethod
    def of(cls, sample: dict) -> FrameJob:
        """Take the prediction from a sample and check it.

        Args:
            sample: With ``pred_ids``, an ``(H, W)`` uint8 array or tensor,
                or ``pred_path``, a mask file; and ``ori_shape``.

        Returns:
            FrameJob: With an array of its own.

        Raises:
            ValueError: There is no prediction, or one of another type or
                size than the frame's.
            FileNotFoundError: There is no such mask file.
        """
        name = f'{sample["video"]}/{sample["frame_name"]}'
        if sample.get('pred_ids') is not None:
            pred = sample['pred_ids']
        elif sample.get('pred_path') is not None:
            pred = read_id_mask(sample['pred_path'])
        else:
            raise ValueError(f'{name}: the model gave no pred_ids')
        if hasattr(pred, 'cpu'):
            pred = pred.cpu().numpy()
        # A copy: it is read later, in the background, and must not keep a
        # whole batch alive.
        pred = np.array(pred)
        if pred.dtype != np.uint8 or pred.ndim != 2:
            raise ValueError(
                f'{name}: expected pred_ids (H, W) uint8, found {pred.shape} '
                f'{pred.dtype}'
            )
        size = tuple(sample.get('ori_shape', pred.shape))[:2]
        if pred.shape != size:
            raise ValueError(
                f'{name}: pred_ids has {pred.shape} pixels, the frame {size}'
            )
        return cls(name, sample.get('gt_path'), pred)

    def read_gt(self) -> np.ndarray:
        """Read the annotation, ``(H, W)`` uint8.

        Raises:
            ValueError: It can't be read or has another size than the
                prediction.
            FileNotFoundError: It isn't there.
        """
        gt = read_id_mask(self.gt_path)
        if gt.shape != self.pred.shape:
            raise ValueError(
                f'{self.name}: the prediction has {self.pred.shape} pixels, '
                f'its annotation {self.gt_path} {gt.shape}'
            )
        return gt


class BackgroundJobs:
    """Run jobs in workers and return their results in order.

    A further `submit` waits for the oldest job once ``limit`` of them are
    under way. So memory doesn't depend on how much faster jobs come than
    they are done. The workers start with the first job.

    Args:
        make_executor: Starts the workers, e.g. `scoring_processes`.
        limit: How many jobs may be under way.
        on_result: Called as ``on_result(key, result)`` for every job, in the
            order of submission, in this process (inside `submit` and
            `drain`).
    """

    def __init__(
        self,
        make_executor: Callable[[], Executor],
        limit: int,
        on_result: Callable[[Any, Any], None],
    ) -> None:
        self._make_executor = make_executor
        self._limit = limit
        self._on_result = on_result
        self._executor: Optional[Executor] = None
        self._pending: Deque[Tuple[Any, Future]] = deque()

    def submit(self, key: Any, function: Callable, *args: Any) -> None:
        """Queue ``function(*args)``; wait while the queue is full.

        Args:
            key: Returned with the result; stays in this process.
            function: For processes, a function of a module.
            args: What to call it with; for processes, it must pickle.

        Raises:
            Exception: What an earlier job raised.
            RuntimeError: A worker process died.
        """
        if self._executor is None:
            self._executor = self._make_executor()
        while self._pending and (
            len(self._pending) >= self._limit or self._pending[0][1].done()
        ):
            self._take_oldest()
        try:
            future = self._executor.submit(function, *args)
        except BrokenProcessPool as error:
            raise _died() from error
        self._pending.append((key, future))

    def drain(self) -> None:
        """Wait for all jobs and pass their results to ``on_result``.

        Raises:
            Exception: What a job raised.
            RuntimeError: A worker process died.
        """
        while self._pending:
            self._take_oldest()

    def close(self) -> None:
        """End the workers; jobs that are still queued are dropped."""
        for _, future in self._pending:
            future.cancel()
        self._pending.clear()
        if self._executor is not None:
            self._executor.shutdown(wait=True)
            self._executor = None

    def _take_oldest(self) -> None:
        key, future = self._pending.popleft()
        try:
            result = future.result()
        except BrokenProcessPool as error:
            raise _died() from error
        self._on_result(key, result)


def scoring_processes(num_workers: int) -> ProcessPoolExecutor:
    """Start processes that compute on numpy arrays.

    They come from a fork server (from a plain spawn where there is none),
    never from a fork of this process, which may have a CUDA context and
    threads. As with any such worker, a script that uses them needs
    ``if __name__ == '__main__':``.

    Args:
        num_workers: Number of processes.

    Returns:
        ProcessPoolExecutor: Each of its processes uses one thread.
    """
    methods = multiprocessing.get_all_start_methods()
    method = 'forkserver' if 'forkserver' in methods else 'spawn'
    context = multiprocessing.get_context(method)
    if method == 'forkserver':
        context.set_forkserver_preload(_PRELOAD)
    # The processes are the parallelism; OpenCV's own threads would only
    # take the cores from the network.
    return ProcessPoolExecutor(
        num_workers, context, initializer=cv2.setNumThreads, initargs=(1,)
    )


def _died() -> RuntimeError:
    return RuntimeError(
        'a scoring worker died (killed, or out of memory?); '
        '`num_workers=0` scores in the main process'
    )
