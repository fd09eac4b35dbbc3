"""The base of metrics on id maps: workers that score, threads that write."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np
from mmengine.dist import all_gather_object, is_main_process
from mmengine.logging import print_log

from hvc_mm.datasets.image_io import read_id_mask

from .bounded_pool import BoundedPool
from .frame_scoring import FrameJob
from .mask_writer import MaskWriter
from .submission_zip import SubmissionFrame, write_submission_zip
from .video_metric import OpenVideo, VideoMetric


class MaskMetric(VideoMetric):
    """Scores and writes id maps while their video is still running.

    Frames go to worker processes in chunks; at most two chunks per worker
    and eight masks to write are under way, so that memory does not depend on
    a video's length. A sample brings its prediction as ``pred_ids``, or as
    ``pred_path``, a mask file, which is read only if the frame counts.

    A metric implements `wants`, `job`, `video_result` and `summarise`.

    Args:
        num_workers: Processes that score; 0 scores in this process.
        chunk_frames: Frames per chunk.
        out_dir: Write ``<out_dir>/<video>/<frame_name>.png``, or None.
        format_only: Write and don't score: for benchmarks whose annotations
            aren't public. Needs ``out_dir``.
        zip_path: Also pack what was written into this zip, for a challenge
            server. Needs ``out_dir``.
        zip_root: Folder inside the zip that holds the videos' folders.
        results_dir: Folder for scores (see `VideoMetric`). By default
            ``out_dir`` with ``_scores`` added, so that ``out_dir`` holds
            nothing but masks; None without ``out_dir``.
        kwargs: See mmengine's ``BaseMetric``.

    Raises:
        ValueError: ``out_dir`` is missing where it is needed, or a number
            is out of range.
        FileExistsError: ``zip_path`` is there already.
    """

    def __init__(
        self,
        num_workers: int = 2,
        chunk_frames: int = 8,
        out_dir: Optional[str] = None,
        format_only: bool = False,
        zip_path: Optional[str] = None,
        zip_root: str = '',
        results_dir: Optional[str] = None,
        **kwargs: Any,
    ) -> None:
        if out_dir is None and (format_only or zip_path):
            option = 'format_only' if format_only else 'zip_path'
            raise ValueError(
                f'{type(self).__name__}: {option} needs out_dir, the folder '
                'that masks are written to'
            )
        if chunk_frames < 1:
            raise ValueError(f'chunk_frames must be >= 1, not {chunk_frames}')
        if zip_path and Path(zip_path).exists():
            # Now, and not after hours of propagation.
            raise FileExistsError(
                f'{zip_path} exists already; move it, or give another zip_path'
            )
        if results_dir is None and out_dir is not None and not format_only:
            results_dir = str(Path(out_dir)) + '_scores'
        super().__init__(results_dir, **kwargs)
        self.chunk_frames = chunk_frames
        self.format_only = format_only
        self.zip_path = zip_path
        self.zip_root = zip_root
        self._pool = BoundedPool(num_workers, self._collect)
        self._writer = MaskWriter(out_dir) if out_dir else None
        self._chunk: List[FrameJob] = []
        self._written: List[SubmissionFrame] = []

    def wants(self, video: OpenVideo, sample: dict) -> bool:
        """Whether a frame is to be scored; also where a video is checked.

        Called for every frame, before anything is done with it.
        """
        raise NotImplementedError

    def job(self, video: OpenVideo) -> Tuple[Callable[..., list], tuple]:
        """What workers run on a chunk: a function and its further arguments.

        The function is called as ``function(frames, *arguments)``.
        """
        raise NotImplementedError

    def video_result(self, video: OpenVideo) -> dict:
        """Make the result of a video from ``video.outcomes``."""
        raise NotImplementedError

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Take the next frames (see `VideoMetric.process`).

        Raises:
            ValueError: Frames or annotations are wrong; perhaps those of an
                earlier chunk, whose scores came in now.
        """
        try:
            super().process(data_batch, data_samples)
        except Exception:
            self._pool.close()  # the run ends here: leave no process behind
            raise

    def process_frame(self, video: OpenVideo, sample: dict) -> None:
        """Write a frame's mask and put it into the chunk to score."""
        keeps = bool(sample.get('is_scored', True))
        scores = keeps and not self.format_only and self.wants(video, sample)
        if scores or (keeps and self._writer is not None):
            pred = _predicted_ids(sample)
            if self._writer is not None:
                self._write(sample, pred)
            if scores:
                name = f'{sample["video"]}/{sample["frame_name"]}'
                job = FrameJob(name, sample['gt_path'], pred)
                self._chunk.append(job)
        if self.format_only:
            return
        if video.is_complete or len(self._chunk) == self.chunk_frames:
            frames, self._chunk = self._chunk, []
            function, arguments = self.job(video)
            key = (video, video.is_complete)
            self._pool.submit(key, function, frames, *arguments)

    def finish(self) -> None:
        """Wait for scores and masks."""
        try:
            self._pool.drain()
            if self._writer is not None:
                self._writer.flush()
        finally:
            self._pool.close()

    def evaluate(self, size: int) -> Dict[str, float]:
        """Summarise, or with ``format_only`` only finish the files.

        Args:
            size: Number of frames in the data set.

        Returns:
            Dict[str, float]: The figures by prefixed name; none with
            ``format_only``.

        Raises:
            ValueError: See `VideoMetric.evaluate`; or the zip isn't right.
            FileExistsError: The zip came into being during the run.
        """
        metrics = super().evaluate(size)
        written, self._written = self._written, []
        if self.zip_path is not None:
            parts = all_gather_object(written)
            if is_main_process():
                frames = [frame for part in parts for frame in part]
                write_submission_zip(
                    self.zip_path, self._writer.out_dir, frames, self.zip_root
                )
                print_log(
                    f'{len(frames)} masks packed in {self.zip_path}', 'current'
                )
        return metrics

    def compute_metrics(self, results: list) -> Dict[str, float]:
        """Summarise, unless there is nothing to score."""
        if self.format_only:
            print_log(
                f'masks are in {self._writer.out_dir}; nothing was scored '
                '(format_only)',
                'current',
            )
            return {}
        return super().compute_metrics(results)

    def _write(self, sample: dict, pred: np.ndarray) -> None:
        video, name = sample['video'], sample['frame_name']
        self._writer.write(video, name, pred)
        if self.zip_path is not None:
            self._written.append(SubmissionFrame(video, name, pred.shape))

    def _collect(self, key: Tuple[OpenVideo, bool], outcomes: list) -> None:
        video, is_last = key
        video.outcomes.extend(outcomes)
        if is_last:
            self.add_result(self.video_result(video))

    def _restart(self) -> None:
        super()._restart()
        self._chunk = []


def _predicted_ids(sample: dict) -> np.ndarray:
    """The prediction as an array of its own, checked."""
    name = f'{sample["video"]}/{sample["frame_name"]}'
    if sample.get('pred_ids') is not None:
        pred = sample['pred_ids']
    elif sample.get('pred_path') is not None:
        pred = read_id_mask(sample['pred_path'])
    else:
        raise ValueError(f'{name}: the model gave no pred_ids')
    if hasattr(pred, 'cpu'):
        pred = pred.cpu().numpy()
    # A copy: it is read later, in the background, and must not keep a whole
    # batch alive.
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
    return pred
