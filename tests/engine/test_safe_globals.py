"""mmengine's training checkpoints under torch's safe loading."""

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

from hvc_mm.engine import allow_checkpoint_classes


class Harmful:
    """Stands for any class that nobody has allowed."""


@pytest.mark.skipif(
    not hasattr(torch.serialization, 'add_safe_globals'),
    reason='this torch has no allow-list',
)
def test_reads_logged_scalars_and_still_refuses_the_rest(tmp_path):
    allow_checkpoint_classes()
    buffer = HistoryBuffer([1.0, 2.0], [1, 1])
    torch.save({'hub': {'loss': buffer, 'n': np.float64(3)}}, tmp_path / 'a')
    loaded = torch.load(tmp_path / 'a', weights_only=True)
    assert loaded['hub']['loss'].mean() == 1.5
    torch.save({'x': Harmful()}, tmp_path / 'b')
    with pytest.raises(Exception, match='Harmful'):
        torch.load(tmp_path / 'b', weights_only=True)
