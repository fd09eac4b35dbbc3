"""Videos and frames to score, and workers that do it in the background.

Legend: H, W: height and width of a frame in pixels.
"""

from __future__ import annotations

import multiprocessing
from collections import deque
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import forkserver
from multiprocessing.context import BaseContext
from typing import (
    Any,
    Callable,
    Deque,
    Dict,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Set,
    Tuple,
)

import cv2
import numpy as np

from hvc_mm.datasets.id_masks import check_size, read_id_mask

# Imported once by the fork server and shared by all workers; torch comes
# along with it, so each worker would otherwise pay seconds for its import.
_PRELOAD = ['hvc_mm.evaluation']


@dataclass(eq=False)
class OpenVideo:
    """A video whose frames are coming, or are still being scored.

    Attributes:
        name: Its name.
        length: Number of its frames.
        seen: Number of frames that have come.
        state: What a metric keeps about it, by name.
        outcomes: What came back from scoring, in frame order.
    """

    name: str
    length: int
    seen: int = 0
    state: Dict[str, Any] = field(default_factory=dict)
    outcomes: List[Any] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        """Whether the last frame has come."""
        return self.seen == self.length


class VideoStream:
    """Check that each video comes once and whole, its frames in order.

    Attributes:
        frames: Number of frames so far, of all videos.
    """

    def __init__(self) -> None:
        self.frames = 0
        self._begun: Set[str] = set()
        self._video: Optional[OpenVideo] = None

    def follow(self, sample: dict) -> OpenVideo:
        """Return the video of the next frame; ValueError if it isn't next."""
        name, index = sample['video'], int(sample['frame_index'])
        if self._video is None or self._video.is_complete:
            if name in self._begun:
                raise ValueError(
                    f'video {name} came a second time; expected each video '
                    'once, whole and in order'
                )
            self._begun.add(name)
            self._video = OpenVideo(name, int(sample['video_length']))
        video = self._video
        if name != video.name:
            self.end()
        if index != video.seen:
            raise ValueError(
                f'video {name}: frame {index} came, expected frame '
                f'{video.seen}; videos must come whole and in order'
            )
        video.seen += 1
        self.frames += 1
        return video

    def end(self) -> None:
        """Raise ValueError where the last video lacks frames."""
        video = self._video
        if video is not None and not video.is_complete:
            raise ValueError(
                f'video {video.name} ended after {video.seen} of its '
                f'{video.length} frames'
            )


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
        """Copy the prediction of a sample and check it.

        Args:
            sample: With ``pred_ids``, an ``(H, W)`` uint8 array or tensor,
                or ``pred_path``, a mask file (with ``binarize``: of one
                object); and ``ori_shape``.

        Raises:
            ValueError: There is no prediction, or one of another type or
                size than the frame's.
            FileNotFoundError: There is no such mask file.
        """
        name = f'{sample["video"]}/{sample["frame_name"]}'
        if sample.get('pred_ids') is not None:
            pred = sample['pred_ids']
        elif sample.get('pred_path') is not None:
            one = sample.get('binarize', False)
            pred = read_id_mask(sample['pred_path'], binarize=one)
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
        check_size(f'{name}: the prediction', pred.shape, size, 'the frame')
        return cls(name, sample.get('gt_path'), pred)

    def read_gt(self, binarize: bool = False) -> np.ndarray:
        """Read the annotation, ``(H, W)`` uint8.

        Args:
            binarize: It shows one object, its edges may be smooth.

        Raises:
            ValueError: It can't be read or has another size than the
                prediction.
            FileNotFoundError: It isn't there.
        """
        gt = read_id_mask(self.gt_path, binarize)
        where = f'{self.name}: the annotation {self.gt_path}'
        check_size(where, gt.shape, self.pred.shape, 'the prediction')
        return gt


class BackgroundJobs:
    """Run jobs in workers and pass their results on in order.

    Once ``limit`` jobs are under way, `submit` waits for the oldest one, so
    that memory doesn't depend on how much faster jobs come than they are
    done (`Executor.map` has no such bound). Workers start with the first job.

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
        with _death_explained():
            future = self._executor.submit(function, *args)
        self._pending.append((key, future))

    def drain(self) -> None:
        """Wait for all jobs; raises what one of them raised."""
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
        with _death_explained():
            result = future.result()
        self._on_result(key, result)


@contextmanager
def _death_explained() -> Iterator[None]:
    try:
        yield
    except BrokenProcessPool as error:
        raise RuntimeError(
            'a scoring worker died (killed, or out of memory?); '
            '`num_workers=0` scores in the main process'
        ) from error


def begin_imports_of_scoring() -> None:
    """Begin the imports that scoring processes share, without waiting.

    They take seconds, which the first of `scoring_processes` would
    otherwise wait for. Does nothing where there is no fork server.
    """
    if _scoring_context().get_start_method() == 'forkserver':
        forkserver.ensure_running()


def scoring_processes(num_workers: int) -> ProcessPoolExecutor:
    """Start processes that compute on numpy arrays, one thread each.

    They come from a fork server (from a plain spawn where there is none),
    never from a fork of this process, which may have a CUDA context and
    threads. As with any such worker, a script that uses them needs
    ``if __name__ == '__main__':``.
    """
    # The processes are the parallelism; OpenCV's own threads would only
    # take the cores from the network.
    return ProcessPoolExecutor(
        num_workers,
        _scoring_context(),
        initializer=cv2.setNumThreads,
        initargs=(1,),
    )


def _scoring_context() -> BaseContext:
    methods = multiprocessing.get_all_start_methods()
    method = 'forkserver' if 'forkserver' in methods else 'spawn'
    context = multiprocessing.get_context(method)
    if method == 'forkserver':
        context.set_forkserver_preload(_PRELOAD)
    return context
