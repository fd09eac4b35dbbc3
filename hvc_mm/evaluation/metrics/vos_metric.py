"""J and F of video object segmentation, by the DAVIS protocol.

Legend: T: scored frames of a video, O: its objects.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Tuple

import numpy as np
from mmengine.logging import print_log

from hvc_mm.datasets.image_io import read_id_mask
from hvc_mm.registry import METRICS

from ..functional import (
    SequenceStatistics,
    davis_summary,
    sequence_statistics,
)
from ..functional.boundary_accuracy import BOUND_TH
from .frame_scoring import (
    FrameScores,
    is_binary_style,
    object_ids,
    score_objects,
)
from .mask_metric import MaskMetric
from .score_table import render_table
from .video_metric import OpenVideo

_COLUMNS = (
    'J&F',
    *(f'{m}_{f}' for m in 'JF' for f in SequenceStatistics._fields),
)


@METRICS.register_module()
class VOSMetric(MaskMetric):
    """J and F as DAVIS-2017 (and, merged, DAVIS-2016) scores them.

    The objects of a video are the ids 1 up to the largest one of its first
    annotation, which every video must have; every other frame must be
    annotated too. Void (255) counts as background; if a first annotation
    holds 0 and 255 only, the video's masks are read as one object, as
    DAVIS-2016 stores them. Overall figures are means over the objects of all
    videos, not over videos. All figures
    are in percent.

    Args:
        merge_ids: Score all ids above 0 as one object (DAVIS-2016).
        binary_masks: Every value but 0 is the one object, in all annotations
            (as the data set's option of this name).
        first_last_excluded: Leave out the first and the last frame, as the
            protocol does.
        bound_th: Distance within which boundaries match, as a share of the
            image diagonal.
        per_sequence: Also log a row for every video and object.
        kwargs: See `MaskMetric`.

    Example:
        >>> metric = VOSMetric(num_workers=0)
        >>> metric.default_prefix
        'davis'
    """

    default_prefix = 'davis'
    unit = 'percent'

    def __init__(
        self,
        merge_ids: bool = False,
        binary_masks: bool = False,
        first_last_excluded: bool = True,
        bound_th: float = BOUND_TH,
        per_sequence: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.merge_ids = merge_ids
        self.binary_masks = binary_masks
        self.first_last_excluded = first_last_excluded
        self.bound_th = bound_th
        self.per_sequence = per_sequence

    def wants(self, video: OpenVideo, sample: dict) -> bool:
        """All frames but the first and the last one.

        Raises:
            ValueError: The video is too short, a frame has no annotation, or
                the first one shows no object.
        """
        path, index = sample.get('gt_path'), int(sample['frame_index'])
        if path is None:
            raise ValueError(
                f'video {video.name}: frame {sample["frame_name"]} has no '
                'annotation; this protocol scores every frame '
                '(`format_only=True` writes masks without scoring)'
            )
        if index == 0:
            self._begin(video, path)
        if not self.first_last_excluded:
            return True
        return 0 < index < video.length - 1

    def job(self, video: OpenVideo) -> Tuple[Callable[..., list], tuple]:
        """J and F of all objects."""
        options = (video.state['binary'], self.merge_ids, self.bound_th)
        return score_objects, options

    def video_result(self, video: OpenVideo) -> dict:
        """J and F of each object and frame, and their statistics."""
        frames: List[FrameScores] = video.outcomes
        count = video.state['objects']
        for frame in frames:
            if frame.pred_ids and frame.pred_ids[-1] > count:
                raise ValueError(
                    f'{frame.name}: the prediction holds the id '
                    f'{frame.pred_ids[-1]}, but the first annotation of the '
                    f'video has the objects 1..{count}'
                )
        objects = {}
        for i in range(1, count + 1):
            scores = np.array([frame.of(i) for frame in frames])
            objects[str(i)] = _object_result(scores[:, 0], scores[:, 1])
        return {
            'video': video.name,
            'frames': [frame.name.rpartition('/')[2] for frame in frames],
            'objects': objects,
        }

    def summarise(self, results: List[dict]) -> Dict[str, float]:
        """Means over all objects; logs the tables, writes the files."""
        rows = [
            (result['video'], key, *(entry[name] for name in _COLUMNS))
            for result in results
            for key, entry in result['objects'].items()
        ]
        overall = davis_summary(*_statistics(results))
        videos = [
            (result['video'], *davis_summary(*_statistics([result])).values())
            for result in results
        ]
        if self.per_sequence:
            columns = ('sequence', 'object', *_COLUMNS)
            print_log(render_table('Objects', columns, rows), 'current')
            table = render_table('Sequences', ('sequence', *_COLUMNS), videos)
            print_log(table, 'current')
        title = f'{len(videos)} sequences, {len(rows)} objects'
        total = [('all objects', *overall.values())]
        print_log(render_table(title, ('', *_COLUMNS), total), 'current')
        self.write_results(
            {'overall': overall, 'videos': results},
            ('sequence', 'object', *_COLUMNS),
            [*rows, ('', 'all', *overall.values())],
        )
        return overall

    def _begin(self, video: OpenVideo, gt_path: str) -> None:
        """Read the first annotation: which objects there are."""
        if self.first_last_excluded and video.length < 3:
            raise ValueError(
                f'video {video.name} has {video.length} frame(s); the first '
                'and the last one are not scored, so at least 3 are needed'
            )
        gt = read_id_mask(gt_path)
        binary = self.binary_masks or is_binary_style(gt)
        count = int(object_ids(gt, binary, self.merge_ids).max())
        if count == 0:
            raise ValueError(
                f'video {video.name}: the first annotation {gt_path} shows '
                'no object'
            )
        video.state.update(binary=binary, objects=count)


def _object_result(region: np.ndarray, boundary: np.ndarray) -> dict:
    """Statistics and frame scores of one object, in percent.

    Args:
        region: J of the frames, ``(T,)`` in [0, 1].
        boundary: F, likewise.

    Returns:
        dict: What JSON can hold.
    """
    statistics = (
        [sequence_statistics(region)],
        [sequence_statistics(boundary)],
    )
    return {
        **{k: 100 * v for k, v in davis_summary(*statistics).items()},
        'J': (100 * region).tolist(),
        'F': (100 * boundary).tolist(),
    }


def _statistics(
    results: List[dict],
) -> Tuple[List[SequenceStatistics], List[SequenceStatistics]]:
    """J's and F's statistics of all objects of some videos."""
    both = []
    for measure in 'JF':
        names = [f'{measure}_{field}' for field in SequenceStatistics._fields]
        both.append(
            [
                SequenceStatistics(*(entry[name] for name in names))
                for result in results
                for entry in result['objects'].values()
            ]
        )
    return both[0], both[1]
