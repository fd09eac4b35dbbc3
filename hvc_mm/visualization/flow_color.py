"""Two-channel fields as colours. Pictures are RGB."""

from __future__ import annotations

from typing import Optional, Tuple

import cv2
import numpy as np
import torch
from mmcv.visualization import flow2rgb


def flow_to_rgb(
    flow: torch.Tensor, size: Optional[Tuple[int, int]] = None
) -> np.ndarray:
    """Show a field: the hue is its direction, the saturation its length.

    Lengths are relative to the longest vector of the field, as in mmcv's
    ``flow2rgb``, which does the work; white is 0. HVC's pseudo-flow has no
    unit, and its loss sees the direction alone.

    Args:
        flow: ``(2, h, w)``, x and y.
        size: ``(H, W)`` of the picture; cells become even squares. By
            default one pixel a cell.

    Returns:
        uint8 ``(H, W, 3)``.

    Raises:
        ValueError: Another shape.
    """
    if flow.ndim != 3 or flow.shape[0] != 2:
        raise ValueError(f'a field must be (2, h, w), not {tuple(flow.shape)}')
    # mmcv works in the type it gets; half precision loses hues.
    field = flow.detach().float().cpu().permute(1, 2, 0).numpy()
    rgb = (flow2rgb(field) * 255).round().astype(np.uint8)
    if size is None:
        return rgb
    return cv2.resize(rgb, size[::-1], interpolation=cv2.INTER_NEAREST)
