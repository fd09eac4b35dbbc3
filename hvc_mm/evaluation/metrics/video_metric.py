"""The base of all metrics: frames come in order, results per video."""

from __future__ import annotations

import csv
import io
import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from mmengine.dist import (
    all_gather_object,
    broadcast_object_list,
    is_main_process,
)
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from rich.console import Console
from rich.table import Table

from hvc_mm.datasets.image_io import write_id_mask
from hvc_mm.utils.files import whole_file, write_json

from .background import BackgroundJobs, FrameJob, scoring_processes
from .submission import SubmissionFrame, write_submission_zip

# Jobs under way for each process: one computes, one waits for it to finish.
_JOBS_PER_WORKER = 2
# Two threads that write keep up with the network; more masks than eight
# would only take memory while a disk stalls.
_WRITERS, _WRITE_QUEUE = 2, 8
# Enough for every table here: a log file has no width of its own, and rich
# would otherwise cut columns at 80.
_TABLE_WIDTH = 160


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


class VideoMetric(BaseMetric):
    """Follow videos frame by frame and gather one result per video.

    Each rank must get whole videos, their frames in order. Results of all
    ranks are gathered and put in the order of the videos' names, so that a
    distributed run gives exactly the numbers of one process.

    A metric implements `summarise` and either `process_frame`, or, for id
    maps, the four methods that the default `process_frame` calls: `wants`,
    `job`, `video_result` and `summarise`. Id maps come in a sample as
    ``pred_ids``, or as ``pred_path``, a mask file, which is read only if the
    frame counts. They are scored and written while their video is still
    running: at most two chunks of frames per worker and eight masks to write
    are under way, so that memory does not depend on a video's length.

    With ``results_dir``, the result of each video is written to
    ``<results_dir>/<prefix>/videos/<video>.json`` as soon as the video has
    been scored: a crash in the middle of a run loses none of them. The
    summary of a run that came to its end is
    ``<results_dir>/<prefix>/results.json``. So several metrics of one run
    can share a ``results_dir``.

    Args:
        results_dir: Folder for results. By default ``out_dir`` with
            ``_scores`` added, so that ``out_dir`` holds nothing but
            predictions; None without ``out_dir``.
        num_workers: Processes that score; 0 scores in this process.
        chunk_frames: Frames that a worker gets at a time.
        out_dir: Write ``<out_dir>/<video>/<frame_name>.png``, or None.
        format_only: Write and don't score: for benchmarks whose annotations
            aren't public. Needs ``out_dir``.
        zip_path: Also pack what was written into this zip, for a challenge
            server. Needs ``out_dir``.
        zip_root: Folder inside the zip that has the videos' folders.
        kwargs: See mmengine's ``BaseMetric`` (``prefix`` and so on).

    Attributes:
        unit: Of the scores in a video's result, or None where a result has
            no scores. It is written to the files, and results that were
            written in another unit are refused.

    Raises:
        ValueError: ``out_dir`` is missing where it is needed, or a number
            is out of range.
        FileExistsError: ``zip_path`` is there already.
        NotADirectoryError: ``out_dir`` is a file.
    """

    unit: Optional[str] = None

    def __init__(
        self,
        results_dir: Optional[str] = None,
        num_workers: int = 2,
        chunk_frames: int = 8,
        out_dir: Optional[str] = None,
        format_only: bool = False,
        zip_path: Optional[str] = None,
        zip_root: str = '',
        **kwargs: Any,
    ) -> None:
        if out_dir is None and (format_only or zip_path):
            option = 'format_only' if format_only else 'zip_path'
            raise ValueError(
                f'{type(self).__name__}: {option} needs out_dir, the folder '
                'that predictions are written to'
            )
        if chunk_frames < 1:
            raise ValueError(f'chunk_frames must be >= 1, not {chunk_frames}')
        if num_workers < 0:
            raise ValueError(f'num_workers must be >= 0, not {num_workers}')
        if zip_path and Path(zip_path).exists():
            # Now, and not after hours of propagation.
            raise FileExistsError(
                f'{zip_path} exists already; move it, or give another zip_path'
            )
        super().__init__(**kwargs)
        if results_dir is None and out_dir is not None and not format_only:
            results_dir = str(Path(out_dir)) + '_scores'
        own_name = self.prefix or type(self).__name__
        self.results_dir = results_dir and Path(results_dir) / own_name
        self.num_workers = num_workers
        self.chunk_frames = chunk_frames
        self.format_only = format_only
        self.zip_path = zip_path
        self.zip_root = zip_root
        self.out_dir = out_dir and Path(out_dir)
        if self.out_dir and self.out_dir.is_file():
            raise NotADirectoryError(f'out_dir {out_dir} is a file')
        self._scores = BackgroundJobs(
            partial(scoring_processes, num_workers),
            _JOBS_PER_WORKER * num_workers,
            self._collect,
        )
        self._writes = BackgroundJobs(
            partial(ThreadPoolExecutor, _WRITERS, 'mask_writer'),
            _WRITE_QUEUE,
            lambda mask, _: self._written.append(mask),
        )
        self._restart()

    def wants(self, video: OpenVideo, sample: dict) -> bool:
        """Tell whether a frame is to be scored; also check its video.

        Called for every frame, before anything is done with it.
        """
        raise NotImplementedError

    def job(self, video: OpenVideo) -> Tuple[Callable[..., list], tuple]:
        """Name what workers run on a chunk: a function, further arguments.

        The function is called as ``function(frames, *arguments)`` with a
        list of `FrameJob`; it returns a list.
        """
        raise NotImplementedError

    def video_result(self, video: OpenVideo) -> dict:
        """Make the result of a video from ``video.outcomes``."""
        raise NotImplementedError

    def summarise(self, results: List[dict]) -> Dict[str, float]:
        """Compute, log and write the overall figures.

        Args:
            results: One per video of all ranks, ordered by ``'video'``.

        Returns:
            Dict[str, float]: The figures by name.
        """
        raise NotImplementedError

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Take the next frames.

        Args:
            data_batch: Not used.
            data_samples: Samples as dicts, with ``video``, ``frame_index``,
                ``frame_name``, ``video_length`` and what the metric scores.

        Raises:
            ValueError: Frames are missing, come twice or out of order, or
                something is wrong with them or with those of an earlier
                chunk, whose scores came in now.
        """
        try:
            for sample in data_samples:
                self.process_frame(self._follow(sample), sample)
        except Exception:
            self._scores.close()  # the run ends here: leave no process behind
            raise

    def process_frame(self, video: OpenVideo, sample: dict) -> None:
        """Take one frame; ``video.is_complete`` on its last one.

        By default: write its id map and put it into the chunk to score.
        """
        keeps = bool(sample.get('is_scored', True))
        scores = keeps and not self.format_only and self.wants(video, sample)
        if scores or (keeps and self.out_dir):
            frame = FrameJob.of(sample)
            if self.out_dir:
                path = self.out_dir / f'{frame.name}.png'
                mask = SubmissionFrame(
                    video.name, sample['frame_name'], frame.pred.shape
                )
                self._writes.submit(mask, write_id_mask, path, frame.pred)
            if scores:
                self._chunk.append(frame)
        if self.format_only:
            return
        if video.is_complete or len(self._chunk) == self.chunk_frames:
            frames, self._chunk = self._chunk, []
            function, arguments = self.job(video)
            key = (video, video.is_complete)
            if self.num_workers == 0:
                self._collect(key, function(frames, *arguments))
            else:
                self._scores.submit(key, function, frames, *arguments)

    def finish(self) -> None:
        """Wait for background work; results are complete afterwards."""
        try:
            self._scores.drain()
            self._writes.drain()
        finally:
            self._scores.close()
            self._writes.close()

    def add_result(self, result: dict) -> None:
        """Keep a video's result, and write it to its file at once.

        Args:
            result: With ``'video'``, and only what JSON can hold.
        """
        if self.unit is not None:
            result = {'video': result['video'], 'unit': self.unit, **result}
        self.results.append(result)
        if self.results_dir:
            path = self.results_dir / 'videos' / f'{result["video"]}.json'
            write_json(path, result)

    def evaluate(self, size: int) -> Dict[str, float]:
        """Gather all ranks' results and summarise them.

        With ``format_only``, only the files are finished.

        Args:
            size: Number of frames in the data set.

        Returns:
            Dict[str, float]: The figures by prefixed name, on every rank;
            none with ``format_only``.

        Raises:
            ValueError: A video has not come to its end, or the zip isn't
                right.
            RuntimeError: Another rank failed.
            FileExistsError: The zip came into being during the run.
        """
        try:
            frames, masks = self._end_rank()
            if frames != size:
                print_log(
                    f'{type(self).__name__}: {frames} frames came, the data '
                    f'set has {size}',
                    'current',
                    logging.WARNING,
                )
            metrics = {} if self.format_only else self._figures()
            if is_main_process():
                self._end_files(masks)
            return metrics
        finally:
            self._restart()

    def compute_metrics(self, results: list) -> Dict[str, float]:
        """Bring the ranks' results in order, check and summarise them.

        Args:
            results: One per video, in any order.

        Returns:
            Dict[str, float]: The figures by name.

        Raises:
            ValueError: There is no result, two ranks had the same video, or
                a result is in another unit than the metric's.
        """
        if not results:
            raise ValueError('no video came; there is nothing to score')
        results = sorted(results, key=lambda result: result['video'])
        for one, two in zip(results, results[1:]):
            if one['video'] == two['video']:
                raise ValueError(
                    f'video {one["video"]} was scored on two ranks; the '
                    'sampler must give each video to one'
                )
        for result in results:
            if result.get('unit') != self.unit:
                raise ValueError(
                    f'the result of video {result["video"]} has scores in '
                    f'{result.get("unit", "an unknown unit")}, expected '
                    f'{self.unit}: hvc_mm 0.1 wrote fractions; remove that '
                    'result and score the video again'
                )
        return self.summarise(results)

    def names_for_table(
        self, given: Optional[Sequence[str]], key: str, count: int
    ) -> List[str]:
        """Choose names for the rows of a table.

        Args:
            given: What the metric was given, or None.
            key: Entry of the data set's meta information to look up else.
            count: How many names there must be.

        Returns:
            List[str]: Names; numbers where there are none.

        Raises:
            ValueError: There is another number of names.
        """
        names = given or (self.dataset_meta or {}).get(key)
        names = list(map(str, range(count) if names is None else names))
        if len(names) != count:
            raise ValueError(f'{len(names)} names for {count} {key}')
        return names

    def log_table(
        self, title: str, columns: Sequence[str], rows: Sequence[Sequence]
    ) -> None:
        """Log a table; the last row may be a total.

        Args:
            title: What the table shows.
            columns: Heads; the first column is text, the others are numbers.
            rows: Values; floats are shown with one decimal.
        """
        table = Table(title=title, title_justify='left')
        for i, column in enumerate(columns):
            table.add_column(column, justify='right' if i else 'left')
        for row in rows:
            table.add_row(
                *(f'{v:.1f}' if isinstance(v, float) else str(v) for v in row)
            )
        # Names are no markup: `[a]` stays.
        console = Console(
            file=io.StringIO(),
            width=_TABLE_WIDTH,
            color_system=None,
            markup=False,
            emoji=False,
        )
        console.print(table)
        # A line break, so that the table begins below a logger's prefix.
        print_log('\n' + console.file.getvalue().rstrip(), 'current')

    def write_results(
        self, summary: dict, columns: Sequence[str], rows: Sequence[Sequence]
    ) -> None:
        """Write ``results.json`` and ``results.csv``, if there is a folder.

        Args:
            summary: What goes into the JSON file.
            columns: Heads of the CSV file.
            rows: Its rows, numbers in full.
        """
        if not self.results_dir:
            return
        if self.unit is not None:
            summary = {'unit': self.unit, **summary}
        write_json(self.results_dir / 'results.json', summary)
        with whole_file(self.results_dir / 'results.csv') as path:
            with path.open('w', newline='', encoding='utf-8') as file:
                csv.writer(file).writerows([columns, *rows])
        print_log(f'scores are in {self.results_dir}', 'current')

    def _follow(self, sample: dict) -> OpenVideo:
        """Check that this frame is the next one of its video."""
        name, index = sample['video'], int(sample['frame_index'])
        if self._current is None or self._current.is_complete:
            if name in self._begun:
                raise ValueError(
                    f'video {name} came a second time; expected each video '
                    'once, whole and in order'
                )
            self._begun.add(name)
            self._current = OpenVideo(name, int(sample['video_length']))
        video = self._current
        if name != video.name:
            self._check_ended()
        if index != video.seen:
            raise ValueError(
                f'video {name}: frame {index} came, expected frame '
                f'{video.seen}; videos must come whole and in order'
            )
        video.seen += 1
        self._frames += 1
        return video

    def _collect(self, key: Tuple[OpenVideo, bool], outcomes: list) -> None:
        video, is_last = key
        video.outcomes.extend(outcomes)
        if is_last:
            self.add_result(self.video_result(video))

    def _check_ended(self) -> None:
        video = self._current
        if video is not None and not video.is_complete:
            raise ValueError(
                f'video {video.name} ended after {video.seen} of its '
                f'{video.length} frames'
            )

    def _end_rank(self) -> Tuple[int, List[SubmissionFrame]]:
        """Finish this rank's work; return all ranks' frames and masks."""
        error: Optional[Exception] = None
        try:
            self._check_ended()
            self.finish()
        except Exception as caught:  # the other ranks must hear of it
            error = caught
        share = (error and str(error), self._frames, self._written)
        messages, frames, masks = zip(*all_gather_object(share))
        if error is not None:
            raise error
        failed = next(filter(None, messages), None)
        if failed is not None:
            raise RuntimeError(f'scoring failed on another rank: {failed}')
        return sum(frames), [mask for part in masks for mask in part]

    def _figures(self) -> Dict[str, float]:
        """Compute the figures on the main rank and give them to all."""
        try:
            # Videos are collected, not frames: their number is open.
            metrics = super().evaluate(sys.maxsize)
        except Exception:
            if is_main_process():  # the other ranks wait for the figures
                broadcast_object_list([None])
            raise
        if metrics is None:
            raise RuntimeError('scoring failed on another rank, the main one')
        return metrics

    def _end_files(self, masks: list) -> None:
        """Pack the masks of all ranks, and say where files are."""
        if self.zip_path is not None:
            write_submission_zip(
                self.zip_path, self.out_dir, masks, self.zip_root
            )
            print_log(
                f'{len(masks)} masks packed in {self.zip_path}', 'current'
            )
        if self.format_only:
            print_log(
                f'predictions are in {self.out_dir}; nothing was '
                'scored (format_only)',
                'current',
            )

    def _restart(self) -> None:
        """Be ready for another evaluation."""
        self.results: List[dict] = []
        self._begun: set = set()
        self._current: Optional[OpenVideo] = None
        self._frames = 0
        self._chunk: List[FrameJob] = []
        self._written: List[SubmissionFrame] = []
