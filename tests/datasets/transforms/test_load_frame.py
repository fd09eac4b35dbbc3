"""Frames: damaged ones and those of another size are errors."""

import cv2
import numpy as np
import pytest

from hvc_mm.datasets.image_io import BrokenImageError
from hvc_mm.datasets.transforms import LoadFrame


def _write(path, height=6, width=8):
    image = np.random.default_rng(0).integers(
        0, 255, (height, width, 3), np.uint8
    )
    cv2.imwrite(str(path), image)
    return str(path), image


def test_a_frame(tmp_path):
    path, image = _write(tmp_path / '0.png')
    results = LoadFrame()(dict(img_path=path, first_img_path=path))
    np.testing.assert_array_equal(results['img'], image)
    assert results['ori_shape'] == results['img_shape'] == (6, 8)


def test_frames_of_one_size_pass_and_others_do_not(tmp_path):
    first, _ = _write(tmp_path / '0.png')
    same, _ = _write(tmp_path / '1.png')
    other, _ = _write(tmp_path / '2.png', 8, 6)
    LoadFrame()(dict(img_path=same, first_img_path=first))
    LoadFrame()(dict(img_path=other))  # nothing to compare with
    with pytest.raises(ValueError, match=r'2\.png has 6x8 .*expected 8x6'):
        LoadFrame()(dict(img_path=other, first_img_path=first))


def test_broken_frames_are_named(tmp_path):
    path, _ = _write(tmp_path / '0.png')
    (tmp_path / 'cut.png').write_bytes((tmp_path / '0.png').read_bytes()[:70])
    for name in ('cut.png', 'absent.png'):
        with pytest.raises(BrokenImageError, match=name):
            LoadFrame()(dict(img_path=str(tmp_path / name)))
