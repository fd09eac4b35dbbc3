"""What was propagated, on mmengine's visualizer and all its backends.

H, W: height and width of a frame in pixels; J: joints. Pictures are RGB.
"""

from __future__ import annotations

from typing import Dict, Optional

import mmcv
import numpy as np
from mmengine.dist import master_only
from mmengine.visualization import Visualizer

from hvc_mm.datasets.image_io import VOID
from hvc_mm.datasets.jhmdb import JOINTS
from hvc_mm.evaluation.functional import region_similarity
from hvc_mm.registry import VISUALIZERS
from hvc_mm.structures import VOSDataSample

from .joints import JHMDB_LIMBS, cells_to_pixels, draw_joints
from .overlay import overlay_ids
from .panels import side_by_side, stacked
from .score_curve import draw_score_curve


@VISUALIZERS.register_module()
class VOSLocalVisualizer(Visualizer):
    """Draw propagated masks, parts or joints, the ground truth beside them.

    Masks have contours and ids; where the data set's meta information names
    ``classes`` (parts of the body), these are written instead. Joints are
    drawn with limbs. With a ground truth, region similarity J over time
    stands below.

    Args:
        alpha: Opacity of the colours, 0 to 1.
        draw_curve: Draw J over time where there is a ground truth.
        stride: Pixels of the network's input per cell of the feature grid,
            for joints, which are predicted in cells.
        **kwargs: mmengine's, e.g. ``name``, ``vis_backends``, ``save_dir``.
    """

    def __init__(
        self,
        name: str = 'visualizer',
        alpha: float = 0.5,
        draw_curve: bool = True,
        stride: int = 8,
        **kwargs,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.alpha = alpha
        self.draw_curve = draw_curve
        self.stride = stride
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
            data_sample: With ``pred_ids`` or ``pred_joints``.
            gt_ids: uint8 ``(H, W)``, drawn left of the prediction; void
                (255) is not drawn.
            gt_joints: ``(2, J)`` in pixels, likewise.

        Returns:
            The picture, uint8 RGB: one or two frames wide, with the curve
            below where there is one.
        """
        panels, captions = [], []
        if gt_ids is not None or gt_joints is not None:
            panels.append(self._layers(image, gt_ids, gt_joints))
            captions.append('ground truth')
        ids, joints = self._predicted(data_sample)
        if ids is not None or joints is not None:
            panels.append(self._layers(image, ids, joints))
            captions.append('prediction')
        if len(panels) < 2:
            return panels[0] if panels else image
        picture = side_by_side(panels, captions)
        if gt_ids is None or ids is None or not self.draw_curve:
            return picture
        self._remember_scores(data_sample, gt_ids, ids)
        length = data_sample.get('video_length')
        curve = draw_score_curve(self._curves, picture.shape[1], length)
        return stacked([picture, curve])

    def _predicted(self, sample: Optional[VOSDataSample]):
        ids = joints = None
        if sample is not None and 'pred_ids' in sample:
            ids = sample.pred_ids.cpu().numpy()
        if sample is not None and 'pred_joints' in sample:
            shape = tuple(sample.ori_shape)
            seen = sample.get('img_shape') or shape
            grid = tuple(-(-side // self.stride) for side in seen)
            cells = sample.pred_joints.cpu().numpy()
            joints = cells_to_pixels(cells, grid, shape)
        return ids, joints

    def _layers(
        self,
        image: np.ndarray,
        ids: Optional[np.ndarray],
        joints: Optional[np.ndarray],
    ) -> np.ndarray:
        meta = self.dataset_meta or {}
        if ids is not None:
            ids = np.where(ids == VOID, 0, ids).astype(np.uint8)
            image = overlay_ids(image, ids, self.alpha, meta.get('classes'))
        if joints is not None:
            image = draw_joints(
                image,
                joints,
                meta.get('skeleton_links', JHMDB_LIMBS),
                meta.get('joints', JOINTS),
            )
        return image

    def _remember_scores(
        self, sample: VOSDataSample, gt: np.ndarray, ids: np.ndarray
    ) -> None:
        if sample.video != self._video or sample.frame_index == 0:
            self._video, self._curves = sample.video, {}
        gt = np.where(gt == VOID, 0, gt)
        present = set(np.flatnonzero(np.bincount(gt.ravel())).tolist()) - {0}
        for object_id in sorted(present | set(self._curves)):
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
        """Draw one frame; show it, write it, or hand it to the backends.

        Args:
            name: Identifier for the backends, or the window's title.
            image: RGB, uint8 ``(H, W, 3)``.
            data_sample: With ``pred_ids`` or ``pred_joints``.
            gt_ids: uint8 ``(H, W)``, drawn left of the prediction.
            gt_joints: ``(2, J)`` in pixels, likewise.
            show: Open a window.
            wait_time: Seconds that the window stays; 0 waits for a key.
            out_file: Write here instead of to the backends.
            step: Global step for the backends.
        """
        picture = self.draw(image, data_sample, gt_ids, gt_joints)
        self._drawn = picture
        if show:
            self.show(picture, win_name=name, wait_time=wait_time)
        if out_file is not None:
            mmcv.imwrite(mmcv.rgb2bgr(picture), out_file)
        else:
            self.add_image(name, picture, step)

    @master_only
    def set_image(self, image: np.ndarray) -> None:
        """Begin a picture with mmengine's own drawing methods.

        Args:
            image: RGB, uint8 ``(H, W, 3)``.
        """
        self._drawn = None
        super().set_image(image)

    @master_only
    def get_image(self) -> np.ndarray:
        """The picture drawn last, RGB."""
        # Matplotlib need not render what is drawn already.
        return super().get_image() if self._drawn is None else self._drawn
