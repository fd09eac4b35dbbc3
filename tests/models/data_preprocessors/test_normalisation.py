"""Normalising: the formula, the order of channels, what is refused."""

import numpy as np
import pytest
import torch

from hvc_mm.models.data_preprocessors import Normalisation

MEAN, STD = (100.0, 110.0, 120.0), (50.0, 60.0, 70.0)


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.integers(0, 255, (2, 3, 4, 5), np.uint8))


@pytest.mark.parametrize('bgr_to_rgb', [True, False])
@pytest.mark.parametrize('channels_last', [True, False])
def test_formula(images, bgr_to_rgb, channels_last):
    before = images.clone()
    out = Normalisation(MEAN, STD, bgr_to_rgb, channels_last).normalise(images)
    array = images.numpy().astype(np.float64)
    if bgr_to_rgb:
        array = array[:, ::-1]
    mean, std = (np.reshape(x, (1, 3, 1, 1)) for x in (MEAN, STD))
    np.testing.assert_allclose(out, (array - mean) / std, atol=1e-6)
    assert out.dtype == torch.float32
    layout = torch.channels_last if channels_last else torch.contiguous_format
    assert out.is_contiguous(memory_format=layout)
    assert torch.equal(images, before)


def test_float_images_are_left_as_they_were(images):
    values = images.float()
    out = Normalisation(MEAN, STD, bgr_to_rgb=False).normalise(values)
    assert torch.equal(values, images.float()) and out is not values


def test_nothing_of_it_is_saved_with_the_weights():
    assert not Normalisation(MEAN, STD).state_dict()


def test_wrong_settings_and_shapes_are_refused(images):
    with pytest.raises(ValueError, match='std positive'):
        Normalisation(MEAN, (1.0, 0.0, 1.0))
    with pytest.raises(ValueError, match='three numbers'):
        Normalisation(MEAN[:2], STD)
    with pytest.raises(ValueError, match=r'\(N, 3, H, W\), not \(2, 1'):
        Normalisation(MEAN, STD).normalise(images[:, :1])
