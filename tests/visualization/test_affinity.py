"""Affinity to a point agrees with the softmax of propagation."""

import pytest
import torch
import torch.nn.functional as F

from hvc_mm.visualization import point_affinity
from hvc_mm.visualization.affinity import cell_at


@pytest.fixture
def features():
    torch.manual_seed(0)
    return F.normalize(torch.randn(16, 5, 7), dim=0)


def test_own_cell_is_the_best(features):
    heat, cosine = point_affinity(features[:, 3, 4], features)
    assert divmod(int(heat.argmax()), 7) == (3, 4)
    assert heat.max() == 1 and cosine == pytest.approx(1, abs=1e-6)
    assert heat.shape == (5, 7) and (heat > 0).all()


def test_proportional_to_softmax(features):
    query = F.normalize(torch.randn(16), dim=0)
    heat, _ = point_affinity(query, features, temperature=0.3)
    logits = torch.einsum('c,chw->hw', query, features).flatten() / 0.3
    torch.testing.assert_close(
        (heat / heat.sum()).flatten(), logits.softmax(0)
    )


def test_cells_of_pixels():
    assert cell_at((0, 0), (480, 854), (60, 107)) == (0, 0)
    assert cell_at((853.9, 479.9), (480, 854), (60, 107)) == (59, 106)
    assert cell_at((427, 240), (480, 854), (60, 107)) == (30, 53)
    with pytest.raises(ValueError, match='854x480'):
        cell_at((854, 10), (480, 854), (60, 107))


def test_errors(features):
    with pytest.raises(ValueError, match=r'\(8,\) and \(16, 5, 7\)'):
        point_affinity(torch.ones(8), features)
    with pytest.raises(ValueError, match='temperature'):
        point_affinity(features[:, 0, 0], features, temperature=0)
