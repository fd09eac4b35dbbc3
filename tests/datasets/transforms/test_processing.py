"""Crops where their boxes say; frames resized as the protocols want it."""

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import RandomResizedCrop

from hvc_mm.datasets.transforms import PairedRandomResizedCrop, ResizeFrame
from hvc_mm.datasets.transforms.processing import draw_crop, normalised_box

RATIO = (3 / 4, 4 / 3)


@pytest.mark.parametrize('height, width', [(90, 120), (20, 500)])
def test_views_are_those_of_torchvision(height, width):
    """Draw for draw and pixel for pixel; they repeat with the seed."""
    image = np.random.default_rng(0).integers(
        0, 255, (height, width, 3), np.uint8
    )
    ours = PairedRandomResizedCrop(size=(32, 48), scale=(0.2, 0.9))
    theirs = RandomResizedCrop((32, 48), (0.2, 0.9), RATIO)
    torch.manual_seed(5)
    expected = [theirs(Image.fromarray(image)) for _ in range(2)]
    torch.manual_seed(5)
    results = ours(dict(img=image))
    for view, other in zip(results['views'], expected):
        assert view.dtype == np.uint8 and view.shape == (32, 48, 3)
        np.testing.assert_array_equal(view, np.asarray(other))
    differ = (results['boxes'][0] != results['boxes'][1]).any()
    assert differ == (height == 90)  # the other one is too wide to vary


def test_sizes_follow_the_stated_law():
    """Area uniform, log of the ratio uniform, where every draw fits."""
    torch.manual_seed(1)
    crops = np.array(
        [draw_crop(1000, 1000, (0.1, 0.5), RATIO) for _ in range(4000)]
    )
    area = crops[:, 2] * crops[:, 3] / 1e6
    log_ratio = np.log(crops[:, 3] / crops[:, 2])
    assert abs(area.mean() - 0.3) < 0.01
    assert abs(area.std() - 0.4 / 12**0.5) < 0.01
    assert abs(log_ratio.mean()) < 0.015
    assert abs(log_ratio.std() - 2 * np.log(4 / 3) / 12**0.5) < 0.01


@pytest.mark.parametrize('height, width', [(2, 2), (30, 400), (500, 2)])
def test_crops_are_inside_and_never_empty(height, width):
    torch.manual_seed(0)
    for _ in range(200):
        crop = draw_crop(height, width, (0.0, 1.0), RATIO)
        top, left, rows, columns = crop
        assert 0 <= top < top + rows <= height
        assert 0 <= left < left + columns <= width


def test_boxes_are_in_units_of_the_last_pixel():
    for height, width in ((48, 64), (2, 2)):
        whole = normalised_box((0, 0, height, width), height, width)
        np.testing.assert_array_equal(whole, [0, 0, 1, 1])
    box = normalised_box((4, 9, 10, 20), 48, 64)
    np.testing.assert_allclose(
        box, [9 / 63, 4 / 47, 28 / 63, 13 / 47], rtol=1e-6
    )
    assert box.dtype == np.float32
    # A crop of one pixel is a point.
    point = normalised_box((47, 63, 1, 1), 48, 64)
    np.testing.assert_array_equal(point, [1, 1, 1, 1])
    with pytest.raises(ValueError, match='1x48 pixels'):
        normalised_box((0, 0, 1, 1), 48, 1)


def test_a_box_says_where_its_view_is_from():
    """Read the place back from an image of coordinates."""
    rows, columns = np.mgrid[0:201, 0:251]
    image = np.stack([columns, rows, 0 * rows], -1).astype(np.uint8)
    transform = PairedRandomResizedCrop(size=64, scale=(0.1, 0.6))
    torch.manual_seed(0)
    for _ in range(20):
        results = transform(dict(img=image))
        for view, box in zip(results['views'], results['boxes']):
            middle = view[28:36, 28:36].astype(float).mean((0, 1))
            x, y = (box[0] + box[2]) / 2 * 250, (box[1] + box[3]) / 2 * 200
            assert abs(middle[0] - x) < 1.5 and abs(middle[1] - y) < 1.5


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(size=0), 'size'),
        (dict(scale=(0.5, 0.1)), 'scale'),
        (dict(scale=(-0.1, 0.1)), 'scale'),
        (dict(ratio=(0, 1)), 'ratio'),
    ],
)
def test_impossible_crops_are_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        PairedRandomResizedCrop(**kwargs)


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
    # Row 0's centre is at (0 + .5) * 2 - .5 = .5, column 0's at 1.
    expected = (image[0, 1] + image[1, 1]) / 2
    np.testing.assert_allclose(out['img'][0, 0], expected, atol=1)


@pytest.mark.parametrize('name', ['nearest', 'bilinear', 'bicubic', 'area'])
def test_interpolations_are_opencvs(results, name):
    image = results['img']
    flag = dict(
        nearest=cv2.INTER_NEAREST,
        bilinear=cv2.INTER_LINEAR,
        bicubic=cv2.INTER_CUBIC,
        area=cv2.INTER_AREA,
    )[name]
    out = ResizeFrame(size=(7, 11), interpolation=name)(results)
    np.testing.assert_array_equal(
        out['img'], cv2.resize(image, (11, 7), interpolation=flag)
    )


@pytest.mark.parametrize(
    'kwargs, size',
    [
        (dict(short_side=10), (10, 15)),
        (dict(short_side=9), (9, 14)),  # 13.5 rounded
        (dict(long_side=16), (11, 16)),  # 10.7 rounded
        (dict(multiple=7), (21, 35)),
        (dict(multiple=7, round='floor'), (14, 28)),
        (dict(multiple=50, round='floor'), (50, 50)),  # one at least
        (dict(short_side=10, multiple=4), (12, 20)),
        (dict(short_side=10, multiple=4, round='floor'), (10, 12)),
        (dict(long_side=18, multiple=5, round='floor'), (10, 18)),
    ],
)
@pytest.mark.parametrize('is_tall', [False, True])
def test_sides_and_multiples(results, kwargs, size, is_tall):
    if is_tall:
        results['img'], size = results['img'].transpose(1, 0, 2), size[::-1]
    out = ResizeFrame(**kwargs)(results)
    assert out['img'].shape[:2] == size == out['img_shape']
    assert out['ori_shape'] == (20, 30)


def test_pillow_averages_where_a_frame_shrinks(results):
    image = Image.fromarray(results['img'])
    expected = image.resize((9, 6), Image.BICUBIC)
    resize = ResizeFrame((6, 9), interpolation='bicubic', backend='pillow')
    np.testing.assert_array_equal(resize(results)['img'], np.array(expected))


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(size=(0, 4)), 'size must be'),
        (dict(size=(4,)), 'size must be'),
        (dict(interpolation='sharp'), 'interpolation must be one of'),
        (dict(short_side=0), 'short_side must be positive, not 0'),
        (dict(multiple=-1), 'multiple must be positive, not -1'),
        (dict(short_side=4, long_side=4), 'one of them at most'),
        (dict(size=(4, 4), short_side=4), 'one of them at most'),
        (dict(size=(4, 4), multiple=2), 'leaves nothing to round'),
        (dict(multiple=2, round='down'), "round must be .*not 'down'"),
        (dict(backend='PIL'), "backend must be .*not 'PIL'"),
        (dict(backend='pillow', interpolation='area'), "must be .*not 'area'"),
    ],
)
def test_wrong_resizing_is_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        ResizeFrame(**kwargs)
