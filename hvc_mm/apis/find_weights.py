"""Weights by default: the last ones that a pre-training here has left."""

from __future__ import annotations

import os.path as osp
from typing import Optional

from mmengine.runner import find_latest_checkpoint

PRETRAINING = 'work_dirs/hvc_coco'


def find_weights(
    given: Optional[str] = None, work_dir: str = PRETRAINING
) -> Optional[str]:
    """Decide which checkpoint a tool takes.

    Args:
        given: What the user said: a file, a URL, ``'none'`` for random
            weights, or nothing.
        work_dir: Where to look if nothing was said.

    Returns:
        A path or URL; None for random weights.

    Raises:
        FileNotFoundError: No such file, or nothing was said and the work
            dir has no checkpoint.
    """
    if given == 'none':
        return None
    if given:
        if '://' not in given and not osp.isfile(given):
            raise FileNotFoundError(f'no checkpoint {given}')
        return given
    latest = find_latest_checkpoint(work_dir) if osp.isdir(work_dir) else None
    if latest is None:
        raise FileNotFoundError(
            f'no weights: {work_dir} has no checkpoint; give one with '
            '--checkpoint, or train one first with `python tools/train.py '
            "configs/hvc_coco.py` ('none' takes random weights)"
        )
    return latest
