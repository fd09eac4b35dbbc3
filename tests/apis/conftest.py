"""A second object."""

import numpy as np
import pytest


@pytest.fixture
def late_mask(moving_square):
    """Object 5 in the lower right corner, from frame 3 on."""
    ids = np.zeros_like(moving_square[1][0])
    ids[36:46, 44:60] = 5
    return ids
