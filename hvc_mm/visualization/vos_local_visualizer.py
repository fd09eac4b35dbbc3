"""Pictures of what was propagated, on mmengine's visualizer.

H, W: height and width of a frame in pixels; J: joints. Pictures are RGB.
"""

from __future__ import annotations

from typing import Dict, Optional

import numpy as np
from mmengine.dist import master_only
from mmengine.visualization import Visualizer

from hvc_mm.datasets import (
    VOID,
    objects_in,
    write_picture,
)
from hvc_mm.evaluation.functional import region_similarity
from hvc_mm.registry import VISUALIZERS
from hvc_mm.structures import VOSDataSample

from .overlays import draw_joints, overlay_ids
from .panels import side_by_side
from .score_curve import draw_score_curve


@VISUALIZERS.register_module()
class VOSLocalVisualizer(Visualizer):
    """Draw propagated masks, parts or joints next to the ground truth.

    Masks have contours and ids; where the data set's meta information names
    ``classes`` (parts of the body), these are written instead. Joints have
    the names and limbs of its ``joints`` and ``skeleton_links``. With a
    ground truth, region similarity J over time is drawn below.

    Args:
        alpha: Opacity of the colours, 0 to 1.
        draw_curve: Draw J over time where there is a ground truth.
        **kwargs: mmengine's, e.g. ``name``, ``vis_backends``, ``save_dir``.
    """

    def __init__(
        self,
        name: str = 'visualizer',
        alpha: float = 0.5,
        draw_curve: bool = True,
        **kwargs,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.alpha = alpha
        self.draw_curve = draw_curve
        self._video: Optional[str] = None
        self._curves: Dict[int, Dict[int, float]] = {}
        self._drawn: Optional[np.ndarray] = None

    def draw(
        self,
        image: np.ndarray,
        data_sample: Optional[VOSDataSample] = None,
        gt_ids: Optional[np.ndarray] = None,
        gt_joints: Optional[np.ndarray] = None,
    ) -> np.ndarray:
        """Draw one frame; frames of a video should come in order.

        Args:
            image: RGB, uint8 ``(H, W, 3)``.
            data_sample: With ``pred_ids`` ``(H, W)``, or ``pred_joints``
                ``(2, J)`` in pixels.
            gt_ids: uint8 ``(H, W)``, drawn left of the prediction; void
                (255) is not drawn.
            gt_joints: ``(2, J)`` in pixels, likewise.

        Returns:
            The picture, uint8 RGB: one or two frames wide, with the curve
            below where there is one.
        """
        sample = {} if data_sample is None else data_sample
        ids, joints = (
            sample.get(key).cpu().numpy() if key in sample else None
            for key in ('pred_ids', 'pred_joints')
        )
        panels = {
            title: self._draw_labels(image, *labels)
            for title, labels in (
                ('ground truth', (gt_ids, gt_joints)),
                ('prediction', (ids, joints)),
            )
            if any(part is not None for part in labels)
        }
        if len(panels) < 2:
            return next(iter(panels.values()), image)
        picture = side_by_side(list(panels.values()), list(panels))
        if gt_ids is None or ids is None or not self.draw_curve:
            return picture
        self._score(data_sample, gt_ids, ids)
        length = data_sample.get('video_length')
        curve = draw_score_curve(self._curves, picture.shape[1], length)
        return np.concatenate([picture, curve])

    def _draw_labels(
        self,
        image: np.ndarray,
        ids: Optional[np.ndarray],
        joints: Optional[np.ndarray],
    ) -> np.ndarray:
        meta = self.dataset_meta or {}
        if ids is not None:
            ids = np.where(ids == VOID, 0, ids).astype(np.uint8)
            image = overlay_ids(
                image, ids, self.alpha, meta.get('classes', ())
            )
        if joints is not None:
            image = draw_joints(
                image,
                joints,
                meta.get('skeleton_links', ()),
                meta.get('joints', ()),
            )
        return image

    def _score(
        self, sample: VOSDataSample, gt: np.ndarray, ids: np.ndarray
    ) -> None:
        """Add a frame's J to the curves; another video begins new ones."""
        if sample.video != self._video or sample.frame_index == 0:
            self._video, self._curves = sample.video, {}
        present = {*objects_in(gt), *self._curves} - {VOID}
        for object_id in sorted(present):
            score = region_similarity(
                (gt == object_id)[None], (ids == object_id)[None]
            )
            curve = self._curves.setdefault(object_id, {})
            curve[sample.frame_index] = float(score[0])

    @master_only
    def add_datasample(
        self,
        name: str,
        image: np.ndarray,
        data_sample: Optional[VOSDataSample] = None,
        gt_ids: Optional[np.ndarray] = None,
        gt_joints: Optional[np.ndarray] = None,
        show: bool = False,
        wait_time: float = 0,
        out_file: Optional[str] = None,
        step: int = 0,
    ) -> None:
        """Draw one frame; show it, write it, or give it to the backends.

        Args:
            name: Identifier for the backends, or the window's title.
            image: As all up to ``gt_joints``: see :meth:`draw`.
            show: Open a window.
            wait_time: Seconds that the window stays; 0 waits for a key.
            out_file: Write here instead of to the backends.
            step: Global step for the backends.
        """
        picture = self.draw(image, data_sample, gt_ids, gt_joints)
        if show:
            self.show(picture, win_name=name, wait_time=wait_time)
        if out_file is not None:
            write_picture(out_file, picture)
        else:
            self.add_image(name, picture, step)
        self._drawn = picture

    @master_only
    def set_image(self, image: np.ndarray) -> None:
        """Begin a picture, RGB ``(H, W, 3)``, with mmengine's own methods."""
        self._drawn = None
        super().set_image(image)

    @master_only
    def get_image(self) -> np.ndarray:
        """Return the picture drawn last, RGB, uint8 ``(H, W, 3)``."""
        # Matplotlib's rendering takes long and changes pixels.
        return super().get_image() if self._drawn is None else self._drawn
