"""PCK of joints tracked through clips (JHMDB).

Legend: J: joints (15), T: frames of a clip.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence

import numpy as np

from hvc_mm.registry import METRICS

from ..functional import pck_per_joint
from ..functional.pck import BOX_SHARE, NUM_JOINTS, pck_counts
from .video_metric import OpenVideo, Pooled, VideoMetric


@METRICS.register_module()
class PCKMetric(VideoMetric):
    """PCK at several thresholds, pooled per joint over all clips.

    Samples hold, next to the usual, ``pred_joints`` ``(2, J)`` in pixels of
    the frame (negative: lost), ``gt_joints`` ``(2, J)`` in pixels counted
    from 0 (None or absent where a frame isn't annotated: then it doesn't
    count) and ``ori_shape``. Predictions are scored and written in cells of
    a grid that divides the frame, whatever the network's own grid is. The
    first frame, which the tracker is given, must be annotated and is not
    scored.

    Args:
        thresholds: Shares of the normalised distance.
        grid: Cells along either side of the frame.
        box_share: Share of the diagonal of the joints' box that a threshold
            of 1 means.
        joint_names: J names for the table; by default the data set's
            ``joints``, else the numbers.
        per_sequence: Also log every clip's own PCK.
        kwargs: See `VideoMetric`. ``out_dir`` gets each clip's prediction,
            ``(2, J, T)`` in cells, as ``<out_dir>/<clip>.npy``.

    Raises:
        ValueError: ``out_dir`` is missing, or names aren't J.
    """

    default_prefix = 'jhmdb'
    # A joint that was lost in all clips.
    of_nothing = 0.0

    def __init__(
        self,
        thresholds: Sequence[float] = (0.1, 0.2, 0.3, 0.4, 0.5),
        grid: int = 40,
        box_share: float = BOX_SHARE,
        joint_names: Optional[Sequence[str]] = None,
        per_sequence: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.thresholds = tuple(thresholds)
        self.grid = grid
        self.box_share = box_share
        self.joint_names = joint_names
        self.names_for_table(joint_names, 'joints', NUM_JOINTS)
        self.per_sequence = per_sequence

    def process_frame(self, video: OpenVideo, sample: dict) -> None:
        """Keep one frame's joints; at the end of the clip, its result."""
        name = f'{video.name}/{sample["frame_name"]}'
        size = tuple(int(side) for side in sample['ori_shape'][:2])
        if video.state.setdefault('size', size) != size:
            raise ValueError(
                f'{name} has {size} pixels, the frames before it '
                f'{video.state["size"]}'
            )
        if sample.get('pred_joints') is None:
            raise ValueError(f'{name}: the model gave no pred_joints')
        pixels = _joints(sample['pred_joints'], f'{name}: pred_joints')
        cells = pixels * self.grid / np.array([[size[1]], [size[0]]])
        cells[:, (pixels < 0).any(axis=0)] = -1
        gt = sample.get('gt_joints')
        if gt is not None:
            gt = _joints(gt, f'{name}: gt_joints')
        elif video.seen == 1 and not self.format_only:
            raise ValueError(
                f'{name}: the first frame of a clip must have gt_joints'
            )
        video.outcomes.append((cells, gt))
        if video.is_complete:
            self._end(video)

    def summarise(self, results: List[dict]) -> Dict[str, float]:
        """Compute PCK per joint and overall; log the table, write files.

        Raises:
            ValueError: A result has joints in cells of another grid.
        """
        for result in results:
            if result.get('grid') != self.grid:
                raise ValueError(
                    f'clip {result["video"]}: its joints are in cells of a '
                    f'grid of {result.get("grid", "unknown size")}, expected '
                    f'{self.grid}; remove that result and score it again'
                )
        percent = self._percent(results)
        heads = [f'PCK@{level:g}' for level in self.thresholds]
        if self.per_sequence:
            clips = [
                (result['video'], *self._percent([result]).mean(axis=0))
                for result in results
            ]
            self.log_table('Clips, percent', ('clip', *heads), clips)
        overall = dict(zip(heads, percent.mean(axis=0).tolist()))
        names = self.names_for_table(self.joint_names, 'joints', NUM_JOINTS)
        joints = dict(zip(names, percent.tolist()))
        rows = [(name, *values) for name, values in joints.items()]
        rows.append(('mean', *overall.values()))
        columns = ('joint', *heads)
        self.log_table(f'{len(results)} clips, percent', columns, rows)
        joints = {n: dict(zip(heads, values)) for n, values in joints.items()}
        summary = {'overall': overall, 'joints': joints}
        self.write_results(summary, columns, rows)
        return overall

    def pooled(self, result: dict) -> Pooled:
        """Count each joint's right predictions, and all that count."""
        right, found = pck_counts(
            np.array(result['gt']),
            np.array(result['pred_cells']),
            tuple(result['size']),
            self.thresholds,
            self.grid,
            self.box_share,
        )
        numerators = {
            f'PCK@{level:g}': (100.0 * counts).tolist()
            for level, counts in zip(self.thresholds, right.T)
        }
        return Pooled(numerators, found.tolist())

    def _percent(self, results: List[dict]) -> np.ndarray:
        """PCK ``(J, thresholds)`` of some clips."""
        return pck_per_joint(
            [np.array(result['gt']) for result in results],
            [np.array(result['pred_cells']) for result in results],
            [tuple(result['size']) for result in results],
            self.thresholds,
            self.grid,
            self.box_share,
        )

    def _end(self, video: OpenVideo) -> None:
        cells = np.stack([cells for cells, _ in video.outcomes], axis=2)
        self.files.write_array(video.name, cells)
        if self.format_only:
            return
        counted = [
            t for t, (_, gt) in enumerate(video.outcomes) if gt is not None
        ]
        if len(counted) < 2:
            raise ValueError(
                f'clip {video.name} has {len(counted)} annotated frame(s); '
                'the first one is not scored, so at least two are needed'
            )
        gt = np.stack([video.outcomes[t][1] for t in counted], axis=2)
        self.add_result(
            {
                'video': video.name,
                'size': list(video.state['size']),
                'grid': self.grid,
                'gt': gt.tolist(),
                'pred_cells': cells[:, :, counted].tolist(),
            }
        )


def _joints(value: Any, what: str) -> np.ndarray:
    """``(2, J)`` float64 of an array or tensor, checked."""
    if hasattr(value, 'cpu'):
        value = value.cpu().numpy()
    joints = np.asarray(value, dtype=np.float64)
    if joints.shape != (2, NUM_JOINTS):
        raise ValueError(
            f'{what} has shape {joints.shape}; expected (2, {NUM_JOINTS})'
        )
    return joints
