"""Published predictions and scores of two DAVIS sequences."""

import json

import numpy as np
import pytest

from hvc_mm.datasets.image_io import read_id_mask


def _stack(folder):
    return np.stack([read_id_mask(p) == 1 for p in sorted(folder.iterdir())])


@pytest.fixture(scope='session', params=['blackswan', 'car-shadow'])
def davis_pair(request, shared_dir):
    """Ground truth and prediction (T, 480, 854) and what was published."""
    published = shared_dir / 'golden/published_davis17'
    truth = shared_dir / 'data/DAVIS/Annotations/480p'
    scores = json.loads((published / 'scores.json').read_text())
    return (
        _stack(truth / request.param),
        _stack(published / request.param),
        scores[request.param],
    )
