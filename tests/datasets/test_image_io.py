"""Images: the same pixels by both decoders, and no damage goes unseen."""

import cv2
import numpy as np
import pytest
from PIL import Image

from hvc_mm.datasets.image_io import (
    BrokenImageError,
    read_image,
    read_image_size,
)


def test_both_decoders_give_the_same_pixels(shared_dir, tmp_path):
    paths = sorted((shared_dir / 'data/coco128/train2017').glob('*.jpg'))[:12]
    assert len(paths) == 12
    for path in paths:
        image = read_image(path)
        with Image.open(path) as opened:
            rgb = np.asarray(opened.convert('RGB'))
        np.testing.assert_array_equal(image, rgb[..., ::-1])
        # Something after the end sends the file to the other decoder.
        tail = tmp_path / path.name
        tail.write_bytes(path.read_bytes() + b'more')
        np.testing.assert_array_equal(read_image(tail), image)


@pytest.mark.parametrize('mode', ['RGB', 'L', 'P', 'RGBA', 'CMYK', '1'])
def test_every_mode_gives_three_channels(tmp_path, mode):
    suffix = 'jpg' if mode == 'CMYK' else 'png'
    path = tmp_path / f'image.{suffix}'
    Image.new('RGB', (7, 5), (200, 200, 200)).convert(mode).save(path)
    image = read_image(path)
    assert image.shape == (5, 7, 3) and image.dtype == np.uint8
    assert image.flags.c_contiguous
    assert read_image_size(path) == (5, 7)


def test_channels_are_bgr_and_exif_turns_nothing(tmp_path):
    red = Image.new('RGB', (8, 4), (255, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn by 90 degrees"
    red.save(tmp_path / 'red.jpg', exif=exif, quality=95)
    image = read_image(tmp_path / 'red.jpg')
    assert image.shape == (4, 8, 3)
    assert image[0, 0, 2] > 250 and image[0, 0, 0] < 5


@pytest.mark.parametrize('suffix', ['jpg', 'png'])
@pytest.mark.parametrize('share', [0.02, 0.5, 0.98])
def test_a_truncated_file_is_named(tmp_path, photo, suffix, share):
    whole = tmp_path / f'whole.{suffix}'
    photo(whole, 120, 160)
    data = whole.read_bytes()
    cut = tmp_path / f'cut.{suffix}'
    cut.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(BrokenImageError, match=rf'cut\.{suffix}'):
        read_image(cut)
    if suffix == 'jpg' and share == 0.5:
        # What makes all this needed: OpenCV says nothing.
        assert cv2.imread(str(cut)) is not None


def test_missing_empty_and_foreign_files_are_named(tmp_path):
    with pytest.raises(BrokenImageError, match='no image file .*nowhere'):
        read_image(tmp_path / 'nowhere.jpg')
    with pytest.raises(BrokenImageError, match='no image file .*nowhere'):
        read_image_size(tmp_path / 'nowhere.jpg')
    empty = tmp_path / 'empty.jpg'
    empty.touch()
    text = tmp_path / 'text.jpg'
    text.write_bytes(b'\xff\xd8\xff no image \xff\xd9')
    for path in (empty, text):
        with pytest.raises(BrokenImageError, match=f'{path.name}: it is'):
            read_image(path)
        with pytest.raises(BrokenImageError, match=path.name):
            read_image_size(path)
