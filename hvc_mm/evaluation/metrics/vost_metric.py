"""J of video object segmentation under transformations, by VOST's protocol.

Legend: T: scored frames of a video.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Tuple

import numpy as np

from hvc_mm.datasets.id_masks import objects_in, read_id_mask, without_void
from hvc_mm.registry import METRICS

from ..functional import last_quarter, sequence_statistics
from .video_metric import OpenVideo, Pooled, VideoMetric
from .vos_metric import (
    FrameScores,
    check_ids,
    count_objects,
    pool_objects,
    score_objects,
)

_COLUMNS = ('J_mean', 'J_last', 'J_recall', 'J_decay')


@METRICS.register_module()
class VOSTMetric(VideoMetric):
    """J over a video and over its last quarter, as VOST scores them.

    The objects of a video are the ids 1 up to the largest one of its first
    annotation. Frames without an annotation (every second one at 10 frames
    per second) are not scored, nor are the first and the last annotated one.
    ``J_last`` is the mean over the last quarter of the scored frames, where
    objects have been transformed; papers write J_tr. Void (255) counts as
    background. Overall figures are means over the objects of all videos, in
    percent. As in https://github.com/TRI-ML/VOST, ``evaluation``.

    Args:
        per_sequence: Also log a row for every video and object.
        kwargs: See `VideoMetric`.
    """

    default_prefix = 'vost'
    unit = 'percent'

    def __init__(self, per_sequence: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.per_sequence = per_sequence

    def wants(self, video: OpenVideo, sample: dict) -> bool:
        """Take the annotated frames but the first one.

        Raises:
            ValueError: The first frame has no annotation, or it shows no
                object.
        """
        path = sample.get('gt_path')
        if int(sample['frame_index']) > 0:
            return path is not None
        if path is None:
            raise ValueError(
                f'video {video.name}: its first frame '
                f'{sample["frame_name"]} has no annotation; it tells which '
                'objects are scored'
            )
        ids = objects_in(without_void(read_id_mask(path), False))
        video.state['objects'] = count_objects(video.name, path, ids)
        return False

    def job(self, video: OpenVideo) -> Tuple[Callable[..., list], tuple]:
        """Score all objects with J."""
        return score_objects, (False, False, None)

    def video_result(self, video: OpenVideo) -> dict:
        """Gather J of each object and frame, and the means.

        Raises:
            ValueError: Less than three frames are annotated, or a prediction
                holds an id that is above the first annotation's.
        """
        frames: List[FrameScores] = video.outcomes[:-1]
        count = video.state['objects']
        if not frames:
            raise ValueError(
                f'video {video.name} has {len(video.outcomes) + 1} annotated '
                'frame(s); the first and the last one are not scored, so at '
                'least 3 are needed'
            )
        check_ids(video.name, video.outcomes, count)
        return {
            'video': video.name,
            'frames': [frame.name.rpartition('/')[2] for frame in frames],
            'objects': {
                str(i): _object_result(np.array([f.of(i)[0] for f in frames]))
                for i in range(1, count + 1)
            },
        }

    def summarise(self, results: List[dict]) -> Dict[str, float]:
        """Average over all objects; log the tables, write the files."""
        rows = [
            (result['video'], key, *(entry[name] for name in _COLUMNS))
            for result in results
            for key, entry in result['objects'].items()
        ]
        means = np.mean([row[2:] for row in rows], axis=0).tolist()
        overall = dict(zip(_COLUMNS, means))
        columns = ('sequence', 'object', *_COLUMNS)
        if self.per_sequence:
            self.log_table('Objects', columns, rows)
        title = f'{len(results)} sequences, {len(rows)} objects, percent'
        self.log_table(title, ('', *_COLUMNS), [('all objects', *means)])
        self.write_results(
            {'overall': overall, 'videos': results},
            columns,
            [*rows, ('', 'all', *means)],
        )
        return overall

    def pooled(self, result: dict) -> Pooled:
        """Sum the figures of a video's objects, and count the objects."""
        return pool_objects(result, _COLUMNS)


def _object_result(region: np.ndarray) -> dict:
    """Statistics and frame scores of one object, in percent.

    Args:
        region: J of the frames, ``(T,)`` in [0, 1].
    """
    mean, recall, decay = sequence_statistics(region)
    last = last_quarter(region).mean()
    figures = dict(zip(_COLUMNS, (mean, last, recall, decay)))
    return {
        **{name: 100 * float(figure) for name, figure in figures.items()},
        'J': (100 * region).tolist(),
    }
