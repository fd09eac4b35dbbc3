"""Pictures of what was propagated, on mmengine's visualizer.

H, W: height and width of a frame in pixels; J: joints. Pictures are RGB.
"""

from __future__ import annotations

from typing import Dict, Optional, Sequence, Tuple

import cv2
import numpy as np
from mmengine.dist import master_only
from mmengine.visualization import Visualizer

from hvc_mm.datasets import (
    VOID,
    davis_palette,
    objects_in,
    write_picture,
)
from hvc_mm.evaluation.functional import region_similarity
from hvc_mm.registry import VISUALIZERS
from hvc_mm.structures import VOSDataSample

from .panels import draw_label, draw_score_curve, side_by_side

# A name needs room: it is written on regions that reach this deep, in
# pixels. A bare id is written on every object.
_NAME_DEPTH = 4
_SIDES = {'right': (255, 96, 48), 'left': (48, 160, 255)}
_MIDDLE = (255, 224, 64)


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


def overlay_ids(
    image: np.ndarray,
    ids: np.ndarray,
    alpha: float = 0.5,
    names: Sequence[str] = (),
) -> np.ndarray:
    """Draw an id map over a frame, with contours and labels.

    Args:
        image: RGB, uint8 ``(H, W, 3)``.
        ids: uint8 ``(H, W)``; 0 (background) stays clear.
        alpha: Opacity of the colours, 0 to 1.
        names: What to write instead of the ids (parts of the body, say), by
            id; an id beyond them keeps its number.

    Returns:
        A new RGB image, uint8 ``(H, W, 3)``.

    Raises:
        ValueError: When the two differ in size.
    """
    if image.shape[:2] != ids.shape:
        raise ValueError(
            f'a frame of {image.shape[:2]} and an id map of {ids.shape} do '
            'not fit together'
        )
    palette = davis_palette()
    colored = cv2.addWeighted(image, 1 - alpha, palette[ids], alpha, 0)
    out = np.where((ids > 0)[..., None], colored, image)
    labels = []
    for object_id in objects_in(ids):
        mask = np.pad((ids == object_id).astype(np.uint8), 1)
        contours, _ = cv2.findContours(
            mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE, offset=(-1, -1)
        )
        thickness = max(1, round(min(ids.shape) / 240))
        color = palette[object_id].tolist()
        cv2.drawContours(out, contours, -1, color, thickness)
        # The innermost pixel is inside of any shape; a centroid need not be.
        distance = cv2.distanceTransform(mask, cv2.DIST_L2, 3)[1:-1, 1:-1]
        y, x = np.unravel_index(distance.argmax(), ids.shape)
        if not names or distance[y, x] >= _NAME_DEPTH:
            known = object_id < len(names)
            name = names[object_id] if known else str(object_id)
            labels.append((name, (x, y)))
    # After all contours, so that none crosses a word.
    for name, centre in labels:
        draw_label(out, name, centre)
    return out


def draw_joints(
    image: np.ndarray,
    joints: np.ndarray,
    limbs: Sequence[Tuple[int, int]] = (),
    names: Sequence[str] = (),
) -> np.ndarray:
    """Draw joints as dots and the limbs between them.

    Limbs and joints are orange on the body's right, blue on its left,
    yellow in the middle, as the names say.

    Args:
        image: RGB, uint8 ``(H, W, 3)``.
        joints: ``(2, J)``, x and y in pixels; negative or not finite where
            a joint is lost, which then is left out with its limbs.
        limbs: Pairs of joints, by index.
        names: A name for each joint.

    Returns:
        A new RGB image, uint8 ``(H, W, 3)``.

    Raises:
        ValueError: Another shape of ``joints``, or a limb without its joint.
    """
    joints = np.asarray(joints, dtype=np.float64)
    if joints.ndim != 2 or joints.shape[0] != 2:
        raise ValueError(f'joints must be (2, J), not {joints.shape}')
    count = joints.shape[1]
    if any(not 0 <= i < count for limb in limbs for i in limb):
        raise ValueError(f'limbs name joints beyond the {count} given')
    found = (np.isfinite(joints) & (joints >= 0)).all(0)
    points = {
        int(i): tuple(joints[:, i].round().astype(int).tolist())
        for i in np.flatnonzero(found)
    }
    sides = [name.split()[0] for name in names] + [''] * count
    colors = [_SIDES.get(side, _MIDDLE) for side in sides]
    out = image.copy()
    size = max(1, round(min(image.shape[:2]) / 160))
    for a, b in limbs:
        if a in points and b in points:
            cv2.line(
                out, points[a], points[b], colors[b], 2 * size, cv2.LINE_AA
            )
    for i, point in points.items():
        cv2.circle(out, point, 2 * size + 1, (0, 0, 0), -1, cv2.LINE_AA)
        cv2.circle(out, point, 2 * size, colors[i], -1, cv2.LINE_AA)
    return out
