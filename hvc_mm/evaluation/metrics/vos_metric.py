"""J and F of video object segmentation, by the DAVIS protocol.

Legend: T: scored frames of a video, H, W: height and width of a frame in
pixels.
"""

from __future__ import annotations

import logging
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)

import numpy as np
from mmengine.logging import print_log

from hvc_mm.datasets.id_masks import (
    VOID,
    objects_in,
    read_id_mask,
    without_void,
)
from hvc_mm.registry import METRICS

from ..functional import (
    SequenceStatistics,
    boundary_accuracy,
    davis_summary,
    region_similarity,
    sequence_statistics,
)
from ..functional.j_and_f import BOUND_TH
from .background import FrameJob
from .video_metric import OpenVideo, Pooled, VideoMetric


def check_bound(bound_th: float) -> None:
    """Make sure that a distance is a share of the diagonal, not pixels."""
    if not 0 < bound_th < 1:
        raise ValueError(
            f'bound_th is {bound_th}; expected a share of the image '
            f'diagonal, above 0 and below 1 (DAVIS has {BOUND_TH})'
        )


_COLUMNS = (
    'J&F',
    *(f'{m}_{f}' for m in 'JF' for f in SequenceStatistics._fields),
)


class FrameScores(NamedTuple):
    """J and F of all objects in a frame.

    Attributes:
        name: ``<video>/<frame_name>``.
        gt_ids: Ids in the annotation, void and background left out.
        pred_ids: Ids in the prediction, background left out.
        scores: J and F of every id that is in one of them. An object that is
            in neither has J = F = 1.
    """

    name: str
    gt_ids: List[int]
    pred_ids: List[int]
    scores: Dict[int, Tuple[float, float]]

    def of(self, object_id: int) -> Tuple[float, float]:
        """J and F of an object, also of one that nobody sees here."""
        return self.scores.get(object_id, (1.0, 1.0))


@METRICS.register_module()
class VOSMetric(VideoMetric):
    """J and F as DAVIS-2017 (and, merged, DAVIS-2016) scores them.

    The objects of a video are the ids 1 up to the largest one of its first
    annotation, which every video must have; every other frame that is scored
    must be annotated too. A warning names ids that are missing in between,
    which count all the same, and objects that enter later, which don't. Void
    (255) counts as background; if a first annotation
    holds 0 and 255 only, the video's masks are read as one object, as
    DAVIS-2016 stores them. Overall figures are means over the objects of all
    videos, not over videos. All figures are in percent.

    Args:
        merge_ids: Score all ids above 0 as one object (DAVIS-2016).
        binary_masks: Every value but 0 is the one object, in all annotations
            (as the data set's option of this name).
        first_last_excluded: Leave out the first and the last frame, as the
            protocol does.
        bound_th: Distance within which boundaries match, as a share of the
            image diagonal.
        per_sequence: Also log a row for every video and object.
        kwargs: See `VideoMetric`.

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
        check_bound(bound_th)
        self.merge_ids = merge_ids
        self.binary_masks = binary_masks
        self.first_last_excluded = first_last_excluded
        self.bound_th = bound_th
        self.per_sequence = per_sequence

    def wants(self, video: OpenVideo, sample: dict) -> bool:
        """Take all frames but the first and the last one.

        Raises:
            ValueError: The video is too short, a frame has no annotation, or
                the first one shows no object.
        """
        path, index = sample.get('gt_path'), int(sample['frame_index'])
        wanted = not self.first_last_excluded or 0 < index < video.length - 1
        if path is None and (wanted or index == 0):
            raise ValueError(
                f'video {video.name}: frame {sample["frame_name"]} has no '
                'annotation; this protocol scores every frame '
                '(`format_only=True` writes masks without scoring)'
            )
        if index == 0:
            self._begin(video, path)
        return wanted

    def job(self, video: OpenVideo) -> Tuple[Callable[..., list], tuple]:
        """Score all objects with J and F."""
        options = (video.state['binary'], self.merge_ids, self.bound_th)
        return score_objects, options

    def video_result(self, video: OpenVideo) -> dict:
        """Gather J and F of each object and frame, and their statistics."""
        frames: List[FrameScores] = video.outcomes
        count = video.state['objects']
        check_ids(video.name, frames, count)
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
        """Average over all objects; log the tables, write the files."""
        rows = [
            (result['video'], key, *(entry[name] for name in _COLUMNS))
            for result in results
            for key, entry in result['objects'].items()
        ]
        videos = [
            (result['video'], *_means(result['objects'].values()))
            for result in results
        ]
        entries = [e for r in results for e in r['objects'].values()]
        overall = dict(zip(_COLUMNS, _means(entries)))
        columns = ('sequence', 'object', *_COLUMNS)
        if self.per_sequence:
            self.log_table('Objects', columns, rows)
            self.log_table('Sequences', ('sequence', *_COLUMNS), videos)
        title = f'{len(videos)} sequences, {len(rows)} objects, percent'
        total = [('all objects', *overall.values())]
        self.log_table(title, ('', *_COLUMNS), total)
        self.write_results(
            {'overall': overall, 'videos': results},
            columns,
            [*rows, ('', 'all', *overall.values())],
        )
        return overall

    def pooled(self, result: dict) -> Pooled:
        """Sum the figures of a video's objects, and count the objects."""
        return pool_objects(result, _COLUMNS)

    def _begin(self, video: OpenVideo, gt_path: str) -> None:
        """Read from the first annotation which objects there are."""
        if self.first_last_excluded and video.length < 3:
            raise ValueError(
                f'video {video.name} has {video.length} frame(s); the first '
                'and the last one are not scored, so at least 3 are needed'
            )
        gt = read_id_mask(gt_path, binarize=self.binary_masks)
        # DAVIS-2016 stores one object as 0 and 255, which elsewhere is void.
        binary = self.binary_masks or objects_in(gt) == [VOID]
        ids = objects_in(_object_ids(gt, binary, self.merge_ids))
        count = count_objects(video.name, gt_path, ids)
        video.state.update(binary=binary, objects=count)


def pool_objects(result: dict, figures: Sequence[str]) -> Pooled:
    """Give a video's share of figures that are means over all objects."""
    objects = list(result['objects'].values())
    sums = {name: [sum(entry[name] for entry in objects)] for name in figures}
    return Pooled(sums, [len(objects)])


def count_objects(video: str, gt_path: str, ids: Sequence[int]) -> int:
    """Count the objects that a first annotation makes a protocol score.

    Args:
        video: Name of the video.
        gt_path: The annotation.
        ids: Which ids it holds, in order.

    Returns:
        The largest id; a warning names those below it that are missing.

    Raises:
        ValueError: There is no id.
    """
    count = max(ids, default=0)
    missing = sorted(set(range(1, count)) - set(ids))
    if missing:
        _warn(
            f'video {video}: the first annotation {gt_path} holds the ids '
            f'{ids}; the protocol scores 1 to {count}, and counts '
            f'{_some(missing)} as right where the prediction has none of '
            'them either'
        )
    if count == 0:
        raise ValueError(
            f'video {video}: the first annotation {gt_path} shows no object'
        )
    return count


def check_ids(video: str, frames: Sequence[FrameScores], count: int) -> None:
    """Refuse predicted ids above the largest one; warn of late objects.

    Raises:
        ValueError: A prediction holds an id above ``count``.
    """
    for frame in frames:
        if frame.pred_ids and frame.pred_ids[-1] > count:
            raise ValueError(
                f'{frame.name}: the prediction holds the id '
                f'{frame.pred_ids[-1]}, but the first annotation of the '
                f'video has the objects 1..{count}'
            )
    late = {i for frame in frames for i in frame.gt_ids if i > count}
    if late:
        _warn(
            f'video {video}: the objects {sorted(late)} enter after the '
            'first annotation and are not scored by this protocol'
        )


def _some(ids: List[int]) -> str:
    """List ids, of more than ten the first ones."""
    more = f' and {len(ids) - 10} more' if len(ids) > 10 else ''
    return f'{ids[:10]}{more}'


def _warn(message: str) -> None:
    print_log(message, logger='current', level=logging.WARNING)


def _object_result(region: np.ndarray, boundary: np.ndarray) -> dict:
    """Statistics and frame scores of one object, in percent.

    Args:
        region: J of the frames, ``(T,)`` in [0, 1].
        boundary: F, likewise.
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


def _means(objects: Iterable[dict]) -> List[float]:
    """Means of all columns over some objects."""
    rows = [[entry[name] for name in _COLUMNS] for entry in objects]
    return np.mean(rows, axis=0).tolist()


def score_objects(
    frames: Sequence[FrameJob],
    binary: bool,
    merge: bool,
    bound_th: Optional[float] = BOUND_TH,
) -> List[FrameScores]:
    """Score every object in some frames of one video with J and F.

    Args:
        frames: The frames.
        binary: The video's annotations are 0/255 masks of one object.
        merge: Score all objects as one.
        bound_th: See `boundary_accuracy`; None leaves F out, which is NaN
            then.

    Raises:
        ValueError, FileNotFoundError: See `FrameJob.read_gt`.
    """
    results = []
    for frame in frames:
        gt, pred = frame.read_gt(binarize=binary), frame.pred
        gt = _object_ids(gt, binary, merge)
        if merge or binary:
            pred = (pred > 0).astype(np.uint8)
        gt_ids, pred_ids = objects_in(gt), objects_in(pred)
        scores = {}
        for i in sorted({*gt_ids, *pred_ids}):
            masks = (gt == i)[None], (pred == i)[None]
            boundary = float('nan')
            if bound_th is not None:
                boundary = float(boundary_accuracy(*masks, bound_th)[0])
            scores[i] = float(region_similarity(*masks)[0]), boundary
        results.append(FrameScores(frame.name, gt_ids, pred_ids, scores))
    return results


def _object_ids(gt: np.ndarray, binary: bool, merge: bool) -> np.ndarray:
    """Ids ``(H, W)`` uint8 without void; all objects as 1 if merged."""
    ids = without_void(gt, binary)
    return (ids > 0).astype(np.uint8) if merge else ids
