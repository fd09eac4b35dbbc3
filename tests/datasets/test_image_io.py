"""Images and id masks: exact pixels, and no damage goes unseen."""

import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from hvc_mm.datasets import (
    list_images,
    read_id_mask,
    read_image,
    read_image_size,
    write_id_mask,
)
from hvc_mm.datasets.image_io import BrokenImageError


def test_listing_passes_over_hidden_files_and_subfolders(tmp_path):
    for name in ('b.jpg', 'a.PNG', '._a.jpg', 'x.txt', 's/c.jpg', 's/._c.jpg'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / 'folder.jpg').mkdir()

    def names(*args):
        return [p[len(str(tmp_path)) + 1 :] for p in list_images(*args)]

    assert names(tmp_path) == ['a.PNG', 'b.jpg']
    assert names(tmp_path, ['.jpg'], True) == ['b.jpg', 's/c.jpg']
    assert list_images(tmp_path / 'absent') == []


def test_numbers_in_names_count_as_numbers(tmp_path):
    names = '2b.jpg 10.jpg a10.jpg 9.jpg a9.jpg 0010.png 2.jpg'.split()
    for name in names:
        (tmp_path / name).touch()
    found = [path[len(str(tmp_path)) + 1 :] for path in list_images(tmp_path)]
    order = '2.jpg 2b.jpg 9.jpg 10.jpg 0010.png a9.jpg a10.jpg'
    assert found == order.split()


def test_pixels_are_those_of_pillow(shared_dir, tmp_path):
    paths = sorted((shared_dir / 'data/coco128/train2017').glob('*.jpg'))[:12]
    assert len(paths) == 12
    for path in paths:
        image = read_image(path)
        with Image.open(path) as opened:
            rgb = np.asarray(opened.convert('RGB'))
        np.testing.assert_array_equal(image, rgb[..., ::-1])
        # Something after the end, as some phones write it, does no harm.
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


@pytest.mark.parametrize('suffix', ['jpg', 'png', 'tif', 'webp'])
@pytest.mark.parametrize('orientation', range(10))
def test_images_are_turned_as_exif_says(tmp_path, suffix, orientation):
    """The expected pixels are Pillow's own; 0 and 9 are no orientations."""
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 255, (6, 9, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010E] = 300 * 'x'  # a length of two bytes
    path = tmp_path / f'turned.{suffix}'
    lossless = dict(lossless=True) if suffix == 'webp' else {}
    image.save(path, exif=exif, **lossless)
    with Image.open(path) as opened:
        wanted = ImageOps.exif_transpose(opened).convert('RGB')
    found = read_image(path)
    np.testing.assert_array_equal(found[..., ::-1], np.asarray(wanted))
    assert found.flags.c_contiguous
    assert read_image_size(path) == found.shape[:2]
    assert found.shape[:2] == ((9, 6) if 5 <= orientation <= 8 else (6, 9))


def test_an_unreadable_orientation_turns_nothing(tmp_path, photo):
    path = tmp_path / 'odd.jpg'
    photo(path)
    data = path.read_bytes()
    exif = b'Exif\0\0XX'
    size = (len(exif) + 2).to_bytes(2, 'big')
    path.write_bytes(data[:2] + b'\xff\xe1' + size + exif + data[2:])
    assert read_image(path).shape == (24, 32, 3)


@pytest.mark.parametrize('suffix', ['png', 'tif'])
@pytest.mark.parametrize('channels', [1, 3])
def test_of_sixteen_bits_the_upper_eight_are_taken(tmp_path, suffix, channels):
    values = np.arange(0, 65536, 37, dtype=np.uint16)[:1764].reshape(42, 42)
    image = values if channels == 1 else np.stack([values] * 3, -1)
    path = tmp_path / f'deep.{suffix}'
    assert cv2.imwrite(str(path), image)
    wanted = np.repeat((values >> 8)[..., None], 3, -1)
    np.testing.assert_array_equal(read_image(path), wanted)


@pytest.mark.parametrize('dtype, mode', [('int32', 'I'), ('float32', 'F')])
def test_pixels_of_unknown_range_are_refused(tmp_path, dtype, mode):
    path = tmp_path / 'range.tif'
    Image.fromarray(np.ones((4, 5), dtype)).save(path)
    with pytest.raises(BrokenImageError, match=rf"range\.tif.*mode '{mode}'"):
        read_image(path)


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


def _mutations(data, rng):
    """Damage of four kinds, each away from the headers."""
    start = data.index(b'\xff\xda') + 20
    at = int(rng.integers(start, len(data) - 60))
    yield data[:at] + bytes(50) + data[at + 50 :]
    yield data[:at] + b'\xff\xd9'
    yield data[:at] + data[at + int(rng.integers(1, 60)) :]
    changed = bytearray(data)
    for place in rng.integers(start, len(data) - 2, 8):
        changed[place] = rng.integers(256)
    yield bytes(changed)


def test_damaged_jpegs_are_refused_or_read_as_pillow_does(tmp_path):
    """What is accepted is what a JPEG without checksums can't show."""
    path, rng, refused = tmp_path / 'mutated.jpg', np.random.default_rng(0), 0
    noise = rng.integers(0, 255, (30, 40, 3), np.uint8)
    image = Image.fromarray(noise).resize((160, 120), Image.BICUBIC)
    image.save(path, quality=90)
    data = path.read_bytes()
    for _ in range(30):
        for mutated in _mutations(data, rng):
            path.write_bytes(mutated)
            try:
                image = read_image(path)
            except BrokenImageError as error:
                refused += 1
                assert str(path) in str(error)
                continue
            with Image.open(path) as opened:
                rgb = np.asarray(opened.convert('RGB'))
            np.testing.assert_array_equal(image, rgb[..., ::-1])
    assert refused >= 85, f'{refused} of 120 damaged files were noticed'


def test_absurdly_big_images_are_refused_unread(tmp_path):
    """A header that promises gigapixels, for pictures and for masks."""
    for suffix in ('jpg', 'png'):
        path = tmp_path / f'bomb.{suffix}'
        Image.new('L', (8, 8)).save(path)
        data = bytearray(path.read_bytes())
        if suffix == 'jpg':
            at = data.index(b'\xff\xc0') + 5
            data[at : at + 4] = b'\xff\xdc' * 2
        else:
            data[16:24] = b'\0\0\xff\xff' * 2
            data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, 'big')
        path.write_bytes(data)
        for read in (read_image, read_image_size, read_id_mask):
            message = rf'bomb\.{suffix}.*pixels'
            with pytest.raises((OSError, ValueError), match=message):
                read(path)


def test_one_wrong_bit_of_a_png_is_noticed(tmp_path):
    """Pillow itself does not verify the checksums of pixels."""
    path = tmp_path / 'mutated.png'
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 5, (24, 32))
    write_id_mask(path, ids)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r'mutated\.png'):
        read_id_mask(path)
    start = whole.index(b'IDAT') + 4
    for at in range(start, whole.index(b'IEND') - 8, 7):
        data = bytearray(whole)
        data[at] ^= 1 << rng.integers(8)
        path.write_bytes(data)
        with pytest.raises(ValueError, match=r'mutated\.png'):
            read_id_mask(path)
        with pytest.raises(BrokenImageError, match=r'mutated\.png'):
            read_image(path)


def test_missing_empty_and_foreign_images_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere'):
        read_id_mask(tmp_path / 'nowhere.jpg')
    for read in (read_image, read_image_size):
        with pytest.raises(BrokenImageError, match='no image file .*nowhere'):
            read(tmp_path / 'nowhere.jpg')
    (tmp_path / 'empty.jpg').touch()
    (tmp_path / 'text.jpg').write_bytes(b'\xff\xd8\xff no image \xff\xd9')
    for name in ('empty.jpg', 'text.jpg'):
        with pytest.raises(BrokenImageError, match=f'{name}: it is'):
            read_image(tmp_path / name)
        for read in (read_image_size, read_id_mask):
            with pytest.raises((OSError, ValueError), match=name):
                read(tmp_path / name)
