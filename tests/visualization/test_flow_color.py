"""Fields as colours: mmcv's wheel, any precision."""

import numpy as np
import pytest
import torch

from hvc_mm.visualization import flow_to_rgb


def test_direction_is_hue_and_length_is_saturation():
    flow = torch.zeros(2, 1, 4)
    flow[0, 0, 0], flow[0, 0, 1] = 4, -4  # right, left
    flow[0, 0, 2] = 1  # right, but short
    right, left, short, still = flow_to_rgb(flow)[0].astype(int)
    assert (still == 255).all()
    assert np.abs(right - left).sum() > 200
    np.testing.assert_allclose(255 - short, (255 - right) / 4, atol=2)


def test_cells_become_squares():
    flow = torch.randn(2, 3, 4)
    large = flow_to_rgb(flow, (30, 40))
    np.testing.assert_array_equal(large[5::10, 5::10], flow_to_rgb(flow))


def test_half_precision_and_gradients():
    flow = torch.randn(2, 8, 8, requires_grad=True)
    wanted = flow_to_rgb(flow).astype(int)
    got = flow_to_rgb(flow.bfloat16()).astype(int)
    assert np.abs(got - wanted).max() < 12


def test_shape():
    with pytest.raises(ValueError, match=r'\(1, 2, 4, 4\)'):
        flow_to_rgb(torch.zeros(1, 2, 4, 4))
