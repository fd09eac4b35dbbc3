import numpy as np
import pytest
import torch

from hvc_mm.models.data_preprocessors import Normalisation
from hvc_mm.registry import MODELS

MEAN, STD = (100.0, 110.0, 120.0), (50.0, 60.0, 70.0)


def _images(*shape, seed=0):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(0, 255, shape, np.uint8))


def _expected(images, mean=MEAN, std=STD, bgr_to_rgb=True):
    """The formula in float64, for ``(N, 3, H, W)``."""
    array = images.numpy().astype(np.float64)
    array = array[:, ::-1] if bgr_to_rgb else array
    mean, std = (np.reshape(x, (1, 3, 1, 1)) for x in (mean, std))
    return (array - mean) / std


@pytest.mark.parametrize('bgr_to_rgb', [True, False])
@pytest.mark.parametrize('channels_last', [True, False])
def test_formula(bgr_to_rgb, channels_last):
    images = _images(2, 3, 4, 5)
    before = images.clone()
    out = Normalisation(MEAN, STD, bgr_to_rgb, channels_last).normalise(images)
    expected = _expected(images, bgr_to_rgb=bgr_to_rgb)
    np.testing.assert_allclose(out, expected, atol=1e-6)
    assert out.dtype == torch.float32
    layout = torch.channels_last if channels_last else torch.contiguous_format
    assert out.is_contiguous(memory_format=layout)
    assert torch.equal(images, before)


def test_float_images_stay_and_nothing_is_saved_with_the_weights():
    values = _images(2, 3, 4, 5).float()
    before = values.clone()
    normalisation = Normalisation(MEAN, STD, bgr_to_rgb=False)
    normalisation.normalise(values)
    assert torch.equal(values, before)
    assert not normalisation.state_dict()


def test_wrong_settings_and_shapes_are_refused():
    with pytest.raises(ValueError, match='std positive'):
        Normalisation(MEAN, (1.0, 0.0, 1.0))
    with pytest.raises(ValueError, match='three numbers'):
        Normalisation(MEAN[:2], STD)
    with pytest.raises(ValueError, match=r'\(N, 3, H, W\), not \(2, 1'):
        Normalisation(MEAN, STD).normalise(_images(2, 1, 4, 5))


def test_both_views_of_a_batch_stacked_or_not():
    preprocessor = MODELS.build(
        dict(type='hvc_mm.PairedViewsDataPreprocessor', mean=MEAN, std=STD)
    )
    views = [_images(4, 3, 8, 8, seed=seed) for seed in range(2)]
    boxes = [object()] * 4
    out = preprocessor(dict(inputs=views, data_samples=boxes), True)
    assert out['data_samples'] is boxes
    for view, normalised in zip(views, out['inputs']):
        np.testing.assert_allclose(normalised, _expected(view), atol=1e-5)
    lists = preprocessor(dict(inputs=[list(view) for view in views]))
    assert all(map(torch.equal, lists['inputs'], out['inputs']))
    assert lists['data_samples'] is None
    with pytest.raises(ValueError, match='two views, found 3'):
        preprocessor(dict(inputs=views + views[:1]))


def _vos(**kwargs):
    return MODELS.build(dict(type='hvc_mm.VOSDataPreprocessor', **kwargs))


def test_sizes_of_frames_may_differ_and_their_order_stays():
    sizes = [(4, 6), (4, 6), (5, 3), (4, 6)]
    frames = [_images(3, *size, seed=i) for i, size in enumerate(sizes)]
    samples = list('abcd')
    out = _vos()(dict(inputs=frames, data_samples=samples))
    assert out['data_samples'] is samples
    mean = 255 * np.array([0.485, 0.456, 0.406])
    std = 255 * np.array([0.229, 0.224, 0.225])
    for frame, normalised in zip(frames, out['inputs']):
        expected = _expected(frame[None], mean, std)[0]
        np.testing.assert_allclose(normalised, expected, atol=1e-5)


@pytest.mark.parametrize(
    'options', [{}, dict(channels_last=True, bgr_to_rgb=False)]
)
def test_stacked_frames_give_the_same_as_a_list(options):
    frames, preprocessor = _images(3, 3, 4, 6), _vos(**options)
    stacked = preprocessor(dict(inputs=frames))['inputs']
    listed = preprocessor(dict(inputs=list(frames)))['inputs']
    assert len(stacked) == len(listed) == 3
    assert all(map(torch.equal, stacked, listed))
