"""Bad images are skipped, counted, and named once."""

import copy
import logging
import pickle

import numpy as np
import pytest
from mmengine.logging import MMLogger

from hvc_mm.datasets.image_io import read_image
from hvc_mm.datasets.transforms import LoadPretrainImage


@pytest.fixture
def image(tmp_path):
    import cv2

    path = tmp_path / 'good.png'
    noise = np.random.default_rng(0).integers(0, 255, (6, 8, 3), np.uint8)
    cv2.imwrite(str(path), noise)
    return path


def test_a_good_image(image):
    results = LoadPretrainImage()(dict(img_path=str(image)))
    np.testing.assert_array_equal(results['img'], read_image(image))
    assert results['ori_shape'] == results['img_shape'] == (6, 8)


def test_bad_ones_are_counted_each_time_and_logged_once(image, caplog):
    image.with_name('cut.png').write_bytes(image.read_bytes()[:60])
    transform = LoadPretrainImage()
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    try:
        with caplog.at_level(logging.WARNING):
            for name in ('cut.png', 'absent.jpg', 'cut.png', 'good.png'):
                path = str(image.with_name(name))
                found = transform(dict(img_path=path))
                assert (found is None) == (name != 'good.png')
    finally:
        logger.removeHandler(caplog.handler)
    assert transform.num_skipped == 3
    messages = [r.getMessage() for r in caplog.records]
    assert len(messages) == 2
    assert 'cut.png' in messages[0] and 'no image file' in messages[1]


def test_an_image_too_small_for_boxes_is_skipped(tmp_path):
    import cv2

    path = tmp_path / 'line.png'
    cv2.imwrite(str(path), np.zeros((1, 9, 3), np.uint8))
    transform = LoadPretrainImage()
    assert transform(dict(img_path=str(path))) is None
    assert transform.num_skipped == 1
    assert LoadPretrainImage(min_side=1)(dict(img_path=str(path)))


def test_copies_and_pickles(image):
    for twin in (
        copy.deepcopy(LoadPretrainImage()),
        pickle.loads(pickle.dumps(LoadPretrainImage(min_side=3))),
    ):
        assert twin(dict(img_path=str(image)))['img'].shape == (6, 8, 3)
