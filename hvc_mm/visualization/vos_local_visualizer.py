"""Masks over frames, on mmengine's visualizer and all its backends."""

from __future__ import annotations

from typing import Optional

import cv2
import mmcv
import numpy as np
from mmengine.dist import master_only
from mmengine.visualization import Visualizer

from hvc_mm.datasets.mask_io import davis_palette
from hvc_mm.registry import VISUALIZERS
from hvc_mm.structures import VOSDataSample


def overlay_ids(
    image: np.ndarray, ids: np.ndarray, alpha: float = 0.5
) -> np.ndarray:
    """Blend an id map over a frame, with contours and ids.

    Args:
        image: RGB, uint8 ``(H, W, 3)``.
        ids: uint8 ``(H, W)``; 0 (background) stays clear.
        alpha: Opacity of the colours, 0 to 1.

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
    out = image.copy()
    inside = ids > 0
    blended = (1 - alpha) * image[inside] + alpha * palette[ids[inside]]
    out[inside] = blended.astype(np.uint8)
    for object_id in np.unique(ids[inside]):
        mask = (ids == object_id).astype(np.uint8)
        color = tuple(int(c) for c in palette[object_id])
        contours, _ = cv2.findContours(
            mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
        )
        cv2.drawContours(out, contours, -1, color, 2)
        # The innermost pixel is inside of any shape; a centroid need not be.
        padded = np.pad(mask, 1)
        depth = cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1]
        y, x = np.unravel_index(depth.argmax(), depth.shape)
        cv2.putText(
            out,
            str(object_id),
            (int(x) - 5, int(y) + 5),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.5,
            (255, 255, 255),
            1,
            cv2.LINE_AA,
        )
    return out


@VISUALIZERS.register_module()
class VOSLocalVisualizer(Visualizer):
    """Draw propagated masks (and the ground truth beside them).

    Args:
        alpha: Opacity of the colours, 0 to 1.
        **kwargs: mmengine's, e.g. ``name``, ``vis_backends``, ``save_dir``.
    """

    def __init__(
        self, name: str = 'visualizer', alpha: float = 0.5, **kwargs
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.alpha = alpha

    @master_only
    def add_datasample(
        self,
        name: str,
        image: np.ndarray,
        data_sample: Optional[VOSDataSample] = None,
        gt_ids: Optional[np.ndarray] = None,
        show: bool = False,
        wait_time: float = 0,
        out_file: Optional[str] = None,
        step: int = 0,
    ) -> None:
        """Draw one frame; show it, write it, or hand it to the backends.

        Args:
            name: Identifier for the backends, or the window's title.
            image: RGB, uint8 ``(H, W, 3)``.
            data_sample: With ``pred_ids``.
            gt_ids: uint8 ``(H, W)``, drawn left of the prediction.
            show: Open a window.
            wait_time: Seconds that the window stays; 0 waits for a key.
            out_file: Write here instead of to the backends.
            step: Global step for the backends.
        """
        panels = []
        if gt_ids is not None:
            panels.append(overlay_ids(image, gt_ids, self.alpha))
        if data_sample is not None and 'pred_ids' in data_sample:
            ids = data_sample.pred_ids.cpu().numpy()
            panels.append(overlay_ids(image, ids, self.alpha))
        drawn = np.concatenate(panels, axis=1) if panels else image
        self.set_image(drawn)
        if show:
            self.show(drawn, win_name=name, wait_time=wait_time)
        if out_file is not None:
            mmcv.imwrite(mmcv.rgb2bgr(drawn), out_file)
        else:
            self.add_image(name, drawn, step)
