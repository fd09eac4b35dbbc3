"""Let torch's safe loading read what mmengine writes in a checkpoint.

torch >= 2.6 loads with ``weights_only=True``, which admits tensors and plain
containers. A training checkpoint of mmengine also holds the logged scalars:
``HistoryBuffer`` objects around numpy arrays. These few classes only hold
data, so they are allowed by name; everything else stays refused.
"""

from __future__ import annotations

from typing import Callable

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.utils import digit_version

STATISTICS = ('min', 'max', 'current', 'mean')


def allow_checkpoint_classes() -> None:
    """Put the classes of mmengine's checkpoints on torch's allow-list.

    Does nothing before torch 2.6, whose default it serves.
    """
    if digit_version(torch.__version__) < digit_version('2.6'):
        return
    numpy_types = {type(np.dtype(t)) for t in ('f8', 'f4', 'i8', 'i4', '?')}
    torch.serialization.add_safe_globals(
        [
            HistoryBuffer,
            # Methods are pickled as a call of getattr; the real one would
            # open every attribute of every allowed class.
            (_statistic, 'builtins.getattr'),
            # The functions by which a pickle rebuilds arrays and scalars.
            np.zeros(1).__reduce__()[0],
            np.float64(0).__reduce__()[0],
            np.ndarray,
            np.dtype,
            *numpy_types,
        ]
    )


def _statistic(owner: type, name: str) -> Callable:
    """Look up one of HistoryBuffer's own statistics, nothing else."""
    if owner is not HistoryBuffer or name not in STATISTICS:
        raise ValueError(
            f'the checkpoint asks for attribute {name!r} of {owner!r}; only '
            f'HistoryBuffer.{{{",".join(STATISTICS)}}} are expected there'
        )
    return getattr(HistoryBuffer, name)
