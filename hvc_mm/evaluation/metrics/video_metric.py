"""The base of all metrics: frames come in order, results per video."""

from __future__ import annotations

import logging
import sys
from functools import partial
from pathlib import Path
from typing import (
    Any,
    Callable,
    Dict,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)

import pandas as pd
from mmengine.dist import (
    all_gather_object,
    broadcast_object_list,
    get_world_size,
    is_main_process,
)
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from hvc_mm.utils.files import write_json
from hvc_mm.utils.outputs import (
    check_outputs,
    claim_on_main_rank,
    listed_file,
)

from .background import (
    BackgroundJobs,
    FrameJob,
    OpenVideo,
    VideoStream,
    begin_imports_of_scoring,
    scoring_processes,
)
from .prediction_files import RESULTS, PredictionFiles, WrittenMask

# Jobs under way for each process: one computes, one waits for it to finish.
_JOBS_PER_WORKER = 2


class Pooled(NamedTuple):
    """A video's share of the overall figures.

    A figure is the mean, over P parts (joints, say), of the numerators' sum
    over all videos by the denominators' sum.

    Attributes:
        numerators: By figure, P numbers, in percent.
        denominators: P numbers, of all figures.
    """

    numerators: Dict[str, List[float]]
    denominators: List[float]


class VideoMetric(BaseMetric):
    """Follow videos frame by frame and gather one result per video.

    Each rank must get whole videos, their frames in order. Results of all
    ranks are gathered and put in the order of the videos' names, so that a
    distributed run gives exactly the numbers of one process.

    A metric implements `summarise` and either `process_frame`, or, for id
    maps, what the default `process_frame` calls: `wants`, `job` and
    `video_result`. Id maps come in a sample as ``pred_ids``, or as
    ``pred_path``, a mask file, which is read only if the frame counts. They
    are scored and written while their video is still running: at most two
    chunks of frames per worker and eight masks to write are under way, so
    that memory does not depend on a video's length.

    The result of each video is written to
    ``<results_dir>/<prefix>/videos/<video>.json`` as soon as the video has
    been scored: a crash in the middle of a run loses none of them. The
    summary of a whole run is ``<results_dir>/<prefix>/results.json``.

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
        force: Keep other files in ``out_dir``, and write over those of equal
            names; also over another ``zip_path`` or other results. Without
            it, only what earlier runs wrote is replaced.
        kwargs: See mmengine's ``BaseMetric`` (``prefix`` and so on). Results
            are collected by messages, ``collect_device='gpu'``, on a CPU,
            too, unless ``collect_dir`` is given.

    Attributes:
        unit: Of the scores in a video's result, or None where a result has
            no scores. It is written to the files, and results that were
            written in another unit are refused.
        of_nothing: What a part counts as whose denominators are all 0; None
            where the mean leaves it out.

    Raises:
        ValueError: ``out_dir`` is missing where it is needed, or a number
            is out of range.
    """

    unit: Optional[str] = None
    of_nothing: Optional[float] = None

    def __init__(
        self,
        results_dir: Optional[str] = None,
        num_workers: int = 2,
        chunk_frames: int = 8,
        out_dir: Optional[str] = None,
        format_only: bool = False,
        zip_path: Optional[str] = None,
        zip_root: str = '',
        force: bool = False,
        **kwargs: Any,
    ) -> None:
        if format_only and out_dir is None:
            raise ValueError(
                f'{type(self).__name__}: format_only needs out_dir, the '
                'folder that predictions are written to'
            )
        if chunk_frames < 1:
            raise ValueError(f'chunk_frames must be >= 1, not {chunk_frames}')
        if num_workers < 0:
            raise ValueError(f'num_workers must be >= 0, not {num_workers}')
        if kwargs.get('collect_dir') is None:
            # mmengine's default makes a folder in the working directory.
            kwargs.setdefault('collect_device', 'gpu')
        super().__init__(**kwargs)
        if results_dir is None and out_dir is not None and not format_only:
            results_dir = str(Path(out_dir)) + '_scores'
        own_name = self.prefix or type(self).__name__
        self.results_dir = results_dir and Path(results_dir) / own_name
        self.num_workers = num_workers
        self.chunk_frames = chunk_frames
        self.format_only = format_only
        self.files = PredictionFiles(out_dir, zip_path, zip_root, force)
        self._scores = BackgroundJobs(
            partial(scoring_processes, num_workers),
            _JOBS_PER_WORKER * num_workers,
            self._collect,
        )
        self._claimed = False
        self._restart()

    @property
    def dataset_meta(self) -> Optional[dict]:
        """Meta information of the data set.

        When it is set, which an evaluator does before the first frame, the
        outputs are checked against the data set's inputs and claimed, and
        scoring processes begin their imports.

        Raises:
            ValueError, FileExistsError, OSError: See `check_outputs`,
                `claim_folder` and `claim_file`.
        """
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        self._dataset_meta = dataset_meta
        files = self.files
        outputs = (self.results_dir, files.out_dir, files.zip_path)
        inputs = dataset_meta.get('inputs', ())
        check_outputs(filter(None, outputs), inputs)
        claim_on_main_rank(self._claim)
        if self.num_workers and not self.format_only:
            begin_imports_of_scoring()

    def _claim(self) -> None:
        self.files.claim(self.results_dir)
        self._claimed = True

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
        """
        raise NotImplementedError

    def pooled(self, result: dict) -> Optional[Pooled]:
        """Give a video's share of the overall figures.

        With it the figures of any selection of videos can be computed, and
        so how far they depend on the selection.

        Args:
            result: Of one video, as `summarise` takes it.

        Returns:
            Pooled: None where the figures aren't made that way.
        """
        return None

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Take the next frames.

        Args:
            data_batch: Not used.
            data_samples: Samples as dicts, with ``video``, ``frame_index``,
                ``frame_name``, ``video_length`` and what the metric scores.

        Raises:
            ValueError: Frames are missing or out of order, or something is
                wrong with them or with an earlier chunk.
        """
        try:
            if not self._claimed and get_world_size() == 1:
                self._claim()  # without an evaluator
            for sample in data_samples:
                self.process_frame(self._stream.follow(sample), sample)
        except Exception:
            # The run ends here: leave no process and no half file behind.
            self._scores.close()
            self.files.close()
            raise

    def process_frame(self, video: OpenVideo, sample: dict) -> None:
        """Take one frame; ``video.is_complete`` on its last one.

        By default: write its id map and put it into the chunk to score.
        """
        keeps = bool(sample.get('is_scored', True))
        scores = keeps and not self.format_only and self.wants(video, sample)
        if scores or (keeps and self.files.out_dir):
            frame = FrameJob.of(sample)
            self.files.write_mask(video.name, sample['frame_name'], frame.pred)
            if scores:
                self._chunk.append(frame)
        full = video.is_complete or len(self._chunk) == self.chunk_frames
        if full and not self.format_only:
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
            self.files.finish()
        finally:
            self._scores.close()

    def add_result(self, result: dict) -> None:
        """Keep a video's result (valid JSON), and write its file at once."""
        if self.unit is not None:
            result = {'video': result['video'], 'unit': self.unit, **result}
        self.results.append(result)
        if self.results_dir:
            path = self.results_dir / 'videos' / f'{result["video"]}.json'
            write_json(path, result)

    def evaluate(self, size: int) -> Dict[str, float]:
        """Gather all ranks' results and summarise them.

        Args:
            size: Number of frames in the data set.

        Returns:
            Dict[str, float]: The figures by prefixed name, on every rank;
            none with ``format_only``, which only finishes the files.

        Raises:
            ValueError: A video has not come to its end, or the zip isn't
                right.
            RuntimeError: Another rank failed.
            OSError: A file can't be written.
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
                self.files.pack(masks)
            if self.format_only:
                print_log('nothing was scored (format_only)', 'current')
            return metrics
        finally:
            self._restart()

    def compute_metrics(self, results: list) -> Dict[str, float]:
        """Bring the ranks' results in order, check and summarise them.

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
        """Take the names given, else the data set's ``key``, else numbers.

        Raises:
            ValueError: They aren't ``count``.
        """
        names = given or (self.dataset_meta or {}).get(key)
        names = list(map(str, range(count) if names is None else names))
        if len(names) != count:
            raise ValueError(f'{len(names)} names for {count} {key}')
        return names

    def log_table(
        self, title: str, columns: Sequence[str], rows: Sequence[Sequence]
    ) -> None:
        """Log a table; floats are shown with one decimal."""
        table = pd.DataFrame(rows, columns=columns).to_string(
            index=False, float_format='{:.1f}'.format, na_rep='nan'
        )
        # A line break, so that the table begins below a logger's prefix.
        print_log(f'\n{title}\n{table}', 'current')

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
        whole, table = (self.results_dir / name for name in RESULTS)
        with listed_file(whole) as path:
            write_json(path, summary)
        with listed_file(table) as path:
            frame = pd.DataFrame(rows, columns=columns)
            frame.to_csv(path, index=False, na_rep='nan')
        print_log(f'scores are in {self.results_dir}', 'current')

    def _collect(self, key: Tuple[OpenVideo, bool], outcomes: list) -> None:
        video, is_last = key
        video.outcomes.extend(outcomes)
        if is_last:
            self.add_result(self.video_result(video))

    def _end_rank(self) -> Tuple[int, List[WrittenMask]]:
        """Finish this rank's work; return all ranks' frames and masks."""
        error: Optional[Exception] = None
        try:
            self._stream.end()
            self.finish()
        except Exception as caught:  # the other ranks must hear of it
            error = caught
        share = (error and str(error), self._stream.frames, self.files.written)
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

    def _restart(self) -> None:
        """Be ready for another evaluation."""
        self.results: List[dict] = []
        self.files.written = []
        self._stream = VideoStream()
        self._chunk: List[FrameJob] = []
