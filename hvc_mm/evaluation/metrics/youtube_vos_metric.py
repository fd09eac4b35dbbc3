"""J and F by the YouTube-VOS protocol: late objects, seen and unseen."""

from __future__ import annotations

import logging
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np
from mmengine.logging import print_log

from hvc_mm.registry import METRICS

from ..functional.j_and_f import BOUND_TH
from .video_metric import OpenVideo, VideoMetric
from .vos_metric import FrameScores, check_bound, score_objects

_COLUMNS = ('category', 'seen', 'J_mean', 'F_mean')


@METRICS.register_module()
class YouTubeVOSMetric(VideoMetric):
    """J and F over seen and over unseen categories, overall their mean.

    Every object counts from the annotated frame after its first one on; the
    annotated frames count, the last one included. An object's
    score is the mean over its frames, a group's the mean over its objects,
    and ``overall`` the mean of J and F over the seen and over the unseen.
    Where a group has no object, ``overall`` is the mean of what is there,
    and the log says so. All figures are in percent.

    The published validation sets annotate only where objects begin. A video
    of that kind can't be scored; when all are, the masks are written and
    packed (``out_dir``, ``zip_path``) and there are no figures.

    Samples hold, next to the usual, ``object_categories``: a dict from id to
    category; and ``is_scored``, False on frames that are only propagated
    through (those of ``valid_all_frames`` that aren't in ``valid``).

    Args:
        seen_categories: The categories of the training set; all others are
            unseen. None: all are seen, which is so on a split of ``train``.
        bound_th: Distance within which boundaries match, as a share of the
            image diagonal.
        per_sequence: Also log a row for every object.
        zip_root: Folder inside the zip.
        kwargs: See `VideoMetric`.
    """

    default_prefix = 'ytvos'
    unit = 'percent'

    def __init__(
        self,
        seen_categories: Optional[Sequence[str]] = None,
        bound_th: float = BOUND_TH,
        per_sequence: bool = False,
        zip_root: str = 'Annotations',
        **kwargs: Any,
    ) -> None:
        super().__init__(zip_root=zip_root, **kwargs)
        self.seen_categories = (
            None if seen_categories is None else frozenset(seen_categories)
        )
        check_bound(bound_th)
        self.bound_th = bound_th
        self.per_sequence = per_sequence

    def wants(self, video: OpenVideo, sample: dict) -> bool:
        """Take the frames that are annotated."""
        state = video.state
        categories = sample.get('object_categories') or {}
        state['categories'] = {int(i): c for i, c in categories.items()}
        if sample.get('gt_path') is None:
            return False
        if sample.get('prompt_ids') is None:
            state['annotated_beyond_prompts'] = True
        return True

    def job(self, video: OpenVideo) -> Tuple[Callable[..., list], tuple]:
        """Score all objects with J and F."""
        return score_objects, (False, False, self.bound_th)

    def video_result(self, video: OpenVideo) -> dict:
        """Gather J and F of each object in the frames after its first one.

        Raises:
            ValueError: A prediction holds an id that is annotated nowhere.
        """
        objects: Dict[str, dict] = {}
        frames: List[FrameScores] = video.outcomes
        if video.state.get('annotated_beyond_prompts'):
            known = sorted({i for frame in frames for i in frame.gt_ids})
            for frame in frames:
                strange = sorted(set(frame.pred_ids) - set(known))
                if strange:
                    raise ValueError(
                        f'{frame.name}: the prediction holds the ids '
                        f'{strange}, but the annotations of the video only '
                        f'{known}'
                    )
            for i in known:
                entry = _object_result(frames, i)
                if entry is not None:
                    category = video.state['categories'].get(i, 'unknown')
                    seen = self._is_seen(category)
                    entry = {'category': category, 'seen': seen, **entry}
                    objects[str(i)] = entry
        return {'video': video.name, 'objects': objects}

    def summarise(self, results: List[dict]) -> Dict[str, float]:
        """Average over seen and over unseen objects; log and write that.

        Raises:
            ValueError: Nothing could be scored, and nothing was to be
                written either.
        """
        rows = [
            (result['video'], key, *(entry[name] for name in _COLUMNS))
            for result in results
            for key, entry in result['objects'].items()
        ]
        if not rows:
            return self._nothing_to_score(len(results))
        without = sum(not result['objects'] for result in results)
        if without:
            print_log(
                f'{without} of {len(results)} videos have no annotation '
                'beyond the frames where objects begin; they are not scored',
                'current',
                logging.WARNING,
            )
        groups = _group_means(rows)
        overall = {'overall': float(np.mean(list(groups.values()))), **groups}
        if len(groups) < 4:
            missing = 'unseen' if 'J_seen' in groups else 'seen'
            print_log(
                f'no object of a category that is {missing}: `overall` is '
                f'the mean of {", ".join(groups)}',
                'current',
                logging.WARNING,
            )
        columns = ('sequence', 'object', *_COLUMNS)
        if self.per_sequence:
            self.log_table('Objects', columns, rows)
        title = (
            f'{len(results) - without} sequences, {len(rows)} objects, percent'
        )
        row = ['all objects', *overall.values()]
        self.log_table(title, ['', *overall], [row])
        self.write_results(
            {'overall': overall, 'videos': results}, columns, rows
        )
        return overall

    def _is_seen(self, category: str) -> bool:
        return self.seen_categories is None or category in self.seen_categories

    def _nothing_to_score(self, videos: int) -> Dict[str, float]:
        message = (
            f'none of {videos} videos has an annotation beyond the frames '
            'where objects begin: nothing was scored'
        )
        if self.files.out_dir is None:
            raise ValueError(
                f'{message}, and there is no out_dir to write masks to'
            )
        print_log(f'{message}; masks are in {self.files.out_dir}', 'current')
        return {}


def _object_result(frames: List[FrameScores], i: int) -> Optional[dict]:
    """Percent of an object after its first frame; None without such frames."""
    first = next(t for t, frame in enumerate(frames) if i in frame.gt_ids)
    counted = frames[first + 1 :]
    if not counted:
        return None
    percent = 100 * np.array([frame.of(i) for frame in counted])
    region, boundary = percent.T
    return {
        'J_mean': float(region.mean()),
        'F_mean': float(boundary.mean()),
        'frames': [frame.name.rpartition('/')[2] for frame in counted],
        'J': region.tolist(),
        'F': boundary.tolist(),
    }


def _group_means(rows: Sequence[tuple]) -> Dict[str, float]:
    """Means over seen and over unseen objects; a group without any is out."""
    groups = {}
    for column, measure in ((4, 'J'), (5, 'F')):
        for group, is_seen in (('seen', True), ('unseen', False)):
            scores = [row[column] for row in rows if row[3] is is_seen]
            if scores:
                groups[f'{measure}_{group}'] = float(np.mean(scores))
    return groups
