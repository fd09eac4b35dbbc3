"""PCK of joints tracked through clips (JHMDB).

Legend: J: joints (15), T: frames of a clip.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
from mmengine.logging import print_log

from hvc_mm.registry import METRICS

from ..functional import pck_per_joint
from ..functional.pck import BOX_SHARE, NUM_JOINTS
from .score_table import render_table
from .video_metric import OpenVideo, VideoMetric


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
        out_dir: Write each clip's prediction, ``(2, J, T)`` in cells, to
            ``<out_dir>/<clip>.npy``, or None.
        format_only: Write and don't score. Needs ``out_dir``.
        results_dir: Folder for scores; by default ``out_dir`` with
            ``_scores`` added.
        kwargs: See mmengine's ``BaseMetric``.

    Raises:
        ValueError: ``out_dir`` is missing, or names aren't J.
    """

    default_prefix = 'jhmdb'

    def __init__(
        self,
        thresholds: Sequence[float] = (0.1, 0.2, 0.3, 0.4, 0.5),
        grid: int = 40,
        box_share: float = BOX_SHARE,
        joint_names: Optional[Sequence[str]] = None,
        per_sequence: bool = False,
        out_dir: Optional[str] = None,
        format_only: bool = False,
        results_dir: Optional[str] = None,
        **kwargs: Any,
    ) -> None:
        if format_only and out_dir is None:
            raise ValueError('PCKMetric: format_only needs out_dir')
        if joint_names is not None and len(joint_names) != NUM_JOINTS:
            raise ValueError(
                f'{len(joint_names)} joint names for {NUM_JOINTS} joints'
            )
        if results_dir is None and out_dir is not None and not format_only:
            results_dir = str(Path(out_dir)) + '_scores'
        super().__init__(results_dir, **kwargs)
        self.thresholds = tuple(thresholds)
        self.grid = grid
        self.box_share = box_share
        self.joint_names = joint_names
        self.per_sequence = per_sequence
        self.out_dir = Path(out_dir) if out_dir else None
        self.format_only = format_only

    def process_frame(self, video: OpenVideo, sample: dict) -> None:
        """Keep one frame's joints; at the end of the clip, its result."""
        name = f'{video.name}/{sample["frame_name"]}'
        if sample.get('pred_joints') is None:
            raise ValueError(f'{name}: the model gave no pred_joints')
        pixels = _joints(sample['pred_joints'], f'{name}: pred_joints')
        frame = {'gt': None}
        if sample.get('gt_joints') is not None:
            frame['gt'] = _joints(sample['gt_joints'], f'{name}: gt_joints')
        elif video.seen == 1 and not self.format_only:
            raise ValueError(
                f'{name}: the first frame of a clip must have gt_joints'
            )
        size = tuple(int(side) for side in sample['ori_shape'][:2])
        if video.state.setdefault('size', size) != size:
            raise ValueError(
                f'{name} has {size} pixels, the frames before it '
                f'{video.state["size"]}'
            )
        frame['cells'] = self._cells(pixels, size)
        video.outcomes.append(frame)
        if video.is_complete:
            self._end(video)

    def summarise(self, results: List[dict]) -> Dict[str, float]:
        """PCK per joint and overall; logs the table, writes the files."""
        if self.format_only:
            print_log(
                f'joints are in {self.out_dir}; nothing was scored '
                '(format_only)',
                'current',
            )
            return {}
        percent = self._percent(results)
        heads = [f'PCK@{level:g}' for level in self.thresholds]
        if self.per_sequence:
            clips = [
                (result['video'], *self._percent([result]).mean(axis=0))
                for result in results
            ]
            table = render_table('Clips, percent', ('clip', *heads), clips)
            print_log(table, 'current')
        overall = dict(zip(heads, percent.mean(axis=0).tolist()))
        columns = ('joint', *heads)
        rows = [
            (str(name), *values)
            for name, values in zip(self._names(), percent.tolist())
        ]
        rows.append(('mean', *overall.values()))
        title = f'{len(results)} clips, percent'
        print_log(render_table(title, columns, rows), 'current')
        joints = {name: dict(zip(heads, row)) for name, *row in rows[:-1]}
        self.write_results(
            {'overall': overall, 'joints': joints}, columns, rows
        )
        return overall

    def _percent(self, results: List[dict]) -> np.ndarray:
        """PCK ``(J, thresholds)`` of some clips."""
        for result in results:
            if result.get('grid') != self.grid:
                raise ValueError(
                    f'clip {result["video"]}: its joints are in cells of a '
                    f'grid of {result.get("grid", "unknown size")}, expected '
                    f'{self.grid}; remove that result and score it again'
                )
        return pck_per_joint(
            [np.array(result['gt']) for result in results],
            [np.array(result['pred_cells']) for result in results],
            [tuple(result['size']) for result in results],
            self.thresholds,
            self.grid,
            self.box_share,
        )

    def _cells(self, pixels: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
        """Turn joints ``(2, J)`` in pixels into cells; -1 where lost."""
        height, width = size
        cells = pixels * self.grid / np.array([[width], [height]])
        return np.where((pixels < 0).any(axis=0), -1.0, cells)

    def _end(self, video: OpenVideo) -> None:
        frames = video.outcomes
        cells = np.stack([frame['cells'] for frame in frames], axis=2)
        if self.out_dir is not None:
            path = self.out_dir / f'{video.name}.npy'
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, cells)
        if self.format_only:
            return
        counted = [
            t for t, frame in enumerate(frames) if frame['gt'] is not None
        ]
        if len(counted) < 2:
            raise ValueError(
                f'clip {video.name} has {len(counted)} annotated frame(s); '
                'the first one is not scored, so at least two are needed'
            )
        gt = np.stack([frames[t]['gt'] for t in counted], axis=2)
        self.add_result(
            {
                'video': video.name,
                'size': list(video.state['size']),
                'grid': self.grid,
                'gt': gt.tolist(),
                'pred_cells': cells[:, :, counted].tolist(),
            }
        )

    def _names(self) -> Sequence[str]:
        names = self.joint_names or (self.dataset_meta or {}).get('joints')
        return names or [str(i) for i in range(NUM_JOINTS)]


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
