"""The base of all metrics here: frames come in order, results per video."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from mmengine.dist import (
    all_gather_object,
    broadcast_object_list,
    is_main_process,
)
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from hvc_mm.utils.whole_files import write_json

from .score_table import Cell, write_csv


@dataclass
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
        return self.seen == self.length


class VideoMetric(BaseMetric):
    """Follows videos frame by frame and gathers one result per video.

    Each rank must get whole videos, their frames in order. Results of all
    ranks are gathered and put in the order of the videos' names, so that a
    distributed run gives the very numbers of a run of one process.

    With ``results_dir``, the result of each video is written to
    ``<results_dir>/<prefix>/videos/<video>.json`` as soon as the video has
    been scored: a crash in the middle of a run loses none of them. The
    summary of a run that came to its end is
    ``<results_dir>/<prefix>/results.json``. So several metrics of one run
    can share a ``results_dir``.

    A metric implements `process_frame`, `summarise` and, where work goes on
    in the background, `finish`.

    Args:
        results_dir: Folder for results, or None.
        kwargs: See mmengine's ``BaseMetric`` (``prefix`` and so on).

    Attributes:
        unit: Of the scores in a video's result, or None where a result holds
            no scores. It is written to the files, and results that were
            written in another unit are refused.
    """

    unit: Optional[str] = None

    def __init__(
        self, results_dir: Optional[str] = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.results_dir = None
        if results_dir:
            own_name = self.prefix or type(self).__name__
            self.results_dir = Path(results_dir) / own_name
        self._current: Optional[OpenVideo] = None
        self._begun: set = set()
        self._frames = 0

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Take the next frames.

        Args:
            data_batch: Not used.
            data_samples: Samples as dicts, with ``video``, ``frame_index``,
                ``frame_name``, ``video_length`` and what the metric scores.

        Raises:
            ValueError: Frames are missing, come twice or out of order.
        """
        for sample in data_samples:
            video = self._follow(sample)
            self.process_frame(video, sample)

    def process_frame(self, video: OpenVideo, sample: dict) -> None:
        """Take one frame; ``video.is_complete`` on its last one."""
        raise NotImplementedError

    def finish(self) -> None:
        """Wait for background work; results must be complete afterwards."""

    def summarise(self, results: List[dict]) -> Dict[str, float]:
        """Compute, log and write the overall figures.

        Args:
            results: One per video of all ranks, ordered by ``'video'``.

        Returns:
            Dict[str, float]: The figures by name.
        """
        raise NotImplementedError

    def compute_metrics(self, results: list) -> Dict[str, float]:
        """Bring the ranks' results in order and summarise them.

        Args:
            results: One per video, in any order.

        Returns:
            Dict[str, float]: The figures by name.

        Raises:
            ValueError: Two ranks had the same video, or a result is in
                another unit than the metric's.
        """
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

    def evaluate(self, size: int) -> Dict[str, float]:
        """Gather all ranks' results and summarise them.

        Args:
            size: Number of frames in the data set.

        Returns:
            Dict[str, float]: The figures by prefixed name, on every rank.

        Raises:
            ValueError: A video has not come to its end.
            RuntimeError: Another rank failed.
        """
        error: Optional[Exception] = None
        try:
            self._check_ended()
            self.finish()
        except Exception as caught:  # the other ranks must hear of it
            error = caught
        share = (self.results, self._frames, error and str(error))
        shares = all_gather_object(share)
        results = [result for part in shares for result in part[0]]
        frames = sum(part[1] for part in shares)
        self._restart()
        _raise_on_all_ranks(error, [part[2] for part in shares])
        if frames != size:
            print_log(
                f'{type(self).__name__}: {frames} frames came, the data set '
                f'has {size}',
                'current',
                logging.WARNING,
            )

        outcome: List[Any] = [None, None]
        if is_main_process():
            try:
                outcome[0] = self.compute_metrics(results)
            except Exception as caught:
                error, outcome[1] = caught, str(caught)
        broadcast_object_list(outcome)
        _raise_on_all_ranks(error, [outcome[1]])
        prefix = f'{self.prefix}/' if self.prefix else ''
        return {prefix + name: value for name, value in outcome[0].items()}

    def add_result(self, result: dict) -> None:
        """Keep a video's result, and write it down at once.

        Args:
            result: With ``'video'``, and only what JSON can hold.
        """
        if self.unit is not None:
            result = {'video': result['video'], 'unit': self.unit, **result}
        self.results.append(result)
        if self.results_dir is not None:
            path = self.results_dir / 'videos' / f'{result["video"]}.json'
            write_json(path, result)

    def write_results(
        self,
        summary: dict,
        columns: Sequence[str],
        rows: Sequence[Sequence[Cell]],
    ) -> None:
        """Write ``results.json`` and ``results.csv``, if there is a folder.

        Args:
            summary: What goes into the JSON file.
            columns: Heads of the CSV file.
            rows: Its rows.
        """
        if self.results_dir is None:
            return
        if self.unit is not None:
            summary = {'unit': self.unit, **summary}
        write_json(self.results_dir / 'results.json', summary)
        write_csv(self.results_dir / 'results.csv', columns, rows)
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

    def _check_ended(self) -> None:
        video = self._current
        if video is not None and not video.is_complete:
            raise ValueError(
                f'video {video.name} ended after {video.seen} of its '
                f'{video.length} frames'
            )

    def _restart(self) -> None:
        """Be ready for another evaluation."""
        self.results = []
        self._begun.clear()
        self._current = None
        self._frames = 0


def _raise_on_all_ranks(
    error: Optional[Exception], messages: Sequence[Optional[str]]
) -> None:
    """Raise this rank's own error, or tell of another one's."""
    if error is not None:
        raise error
    for message in messages:
        if message is not None:
            raise RuntimeError(f'scoring failed on another rank: {message}')
