"""Resizing: OpenCV's bilinear, or nothing at all."""

import cv2
import numpy as np
import pytest

from hvc_mm.datasets.transforms import ResizeFrame


@pytest.fixture
def results():
    image = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
    return dict(img=image, img_shape=(20, 30), ori_shape=(20, 30))


def test_no_size_leaves_the_frame(results):
    image = results['img']
    assert ResizeFrame()(results)['img'] is image
    assert ResizeFrame(size=(20, 30))(results)['img'] is image


def test_bilinear_has_half_pixel_centres_and_no_anti_aliasing(results):
    image = results['img'].astype(float)
    out = ResizeFrame(size=[10, 10])(results)
    assert out['img'].shape == (10, 10, 3)
    assert out['img_shape'] == (10, 10) and out['ori_shape'] == (20, 30)
    # Row 0's centre lies at (0 + .5) * 2 - .5 = .5, column 0's at 1.
    expected = (image[0, 1] + image[1, 1]) / 2
    np.testing.assert_allclose(out['img'][0, 0], expected, atol=1)


def test_area_averages(results):
    image = results['img'].astype(float)
    out = ResizeFrame(size=(10, 10), interpolation='area')(results)
    np.testing.assert_allclose(
        out['img'][0, 0], image[:2, :3].mean((0, 1)), atol=1
    )


@pytest.mark.parametrize('name', ['nearest', 'bicubic'])
def test_other_interpolations(results, name):
    image = results['img']
    flag = dict(nearest=cv2.INTER_NEAREST, bicubic=cv2.INTER_CUBIC)[name]
    out = ResizeFrame(size=(33, 41), interpolation=name)(results)
    np.testing.assert_array_equal(
        out['img'], cv2.resize(image, (41, 33), interpolation=flag)
    )


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match='size must be'):
        ResizeFrame(size=(0, 4))
    with pytest.raises(ValueError, match='size must be'):
        ResizeFrame(size=(4,))
    with pytest.raises(ValueError, match='interpolation must be one of'):
        ResizeFrame(interpolation='sharp')
