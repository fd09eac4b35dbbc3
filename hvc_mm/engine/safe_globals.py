"""Let torch's safe loading read what mmengine writes in a checkpoint.

torch >= 2.6 loads with ``weights_only=True``, which admits tensors and plain
containers. A training checkpoint of mmengine also holds the logged scalars:
``HistoryBuffer`` objects around numpy arrays. These few classes only hold
data, so they are allowed by name; everything else stays refused.
"""

from __future__ import annotations

import numpy as np
import torch
from mmengine.logging import HistoryBuffer


def allow_checkpoint_classes() -> None:
    """Put the classes of mmengine's checkpoints on torch's allow-list.

    Does nothing where torch has no such list (before 2.4).
    """
    allow = getattr(torch.serialization, 'add_safe_globals', None)
    if allow is None:
        return
    core = getattr(np, '_core', None) or np.core
    numpy_types = {type(np.dtype(t)) for t in ('f8', 'f4', 'i8', 'i4', '?')}
    allow(
        [
            HistoryBuffer,
            HistoryBuffer.min,
            HistoryBuffer.max,
            HistoryBuffer.current,
            HistoryBuffer.mean,
            core.multiarray._reconstruct,
            core.multiarray.scalar,
            np.ndarray,
            np.dtype,
            *numpy_types,
        ]
    )
