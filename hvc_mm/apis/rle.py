"""Masks as run lengths: small, and fit for JSON.

H, W: height and width of a mask in pixels.
"""

from __future__ import annotations

import numpy as np


def mask_to_rle(mask: np.ndarray) -> dict:
    """COCO's uncompressed run lengths of a mask.

    Runs go down the columns and alternate, beginning with zeros. pycocotools
    takes it: ``mask.frPyObjects(rle, *rle['size'])``.

    Args:
        mask: ``(H, W)`` bool.

    Returns:
        ``size`` ``[H, W]`` and ``counts``, plain integers.
    """
    flat = np.asarray(mask, bool).ravel(order='F')
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff([0, *changes, flat.size]).tolist()
    if flat.size and flat[0]:
        counts = [0, *counts]
    return {'size': list(mask.shape), 'counts': counts}


def rle_to_mask(rle: dict) -> np.ndarray:
    """The mask of COCO's uncompressed run lengths.

    Args:
        rle: See :func:`mask_to_rle`.

    Returns:
        ``(H, W)`` bool.
    """
    height, width = rle['size']
    values = np.arange(len(rle['counts'])) % 2 == 1
    flat = np.repeat(values, rle['counts'])
    return flat.reshape((height, width), order='F')
