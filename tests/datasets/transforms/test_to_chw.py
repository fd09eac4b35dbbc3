"""Channels first, in memory of the tensor's own."""

import numpy as np
import pytest
import torch

from hvc_mm.datasets.transforms.formatting import to_chw_tensor


@pytest.mark.parametrize('channels', [1, 3, 4])
def test_planes(channels):
    image = np.random.default_rng(0).integers(
        0, 255, (5, 7, channels), np.uint8
    )
    image.flags.writeable = False
    tensor = to_chw_tensor(image)
    assert tensor.shape == (channels, 5, 7) and tensor.dtype == torch.uint8
    np.testing.assert_array_equal(tensor, image.transpose(2, 0, 1))
    tensor.zero_()
    assert image.any()
