"""Images and id masks: exact pixels, and no damage goes unseen."""

import cv2
import numpy as np
import pytest
from PIL import Image

from hvc_mm.datasets import image_io
from hvc_mm.datasets.image_io import (
    BrokenImageError,
    davis_palette,
    is_binary_mask,
    list_images,
    objects_in,
    read_id_mask,
    read_image,
    read_image_size,
    without_void,
    write_id_mask,
)


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


def test_both_decoders_give_the_same_pixels(shared_dir, tmp_path, monkeypatch):
    paths = sorted((shared_dir / 'data/coco128/train2017').glob('*.jpg'))[:12]
    assert len(paths) == 12
    for path in paths:
        with monkeypatch.context() as patch:
            patch.setattr(image_io, '_decode', None)  # OpenCV is faster
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


@pytest.mark.parametrize('progressive', [False, True])
def test_channels_are_bgr_and_exif_turns_nothing(tmp_path, progressive):
    red = Image.new('RGB', (8, 4), (255, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn by 90 degrees"
    path = tmp_path / 'red.jpg'
    red.save(path, exif=exif, quality=95, progressive=progressive)
    image = read_image(path)
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


# Start of image, scan, tables, restart interval, frame: none of them may be
# inside a scan.
@pytest.mark.parametrize('marker', [0xD8, 0xDA, 0xDB, 0xC4, 0xDD, 0xC0])
def test_a_jpeg_with_a_marker_amid_its_pixels_is_refused(
    tmp_path, photo, marker
):
    path = tmp_path / 'mutated.jpg'
    photo(path, 120, 160)
    data = bytearray(path.read_bytes())
    middle = (data.index(b'\xff\xda') + len(data)) // 2
    data[middle : middle + 2] = bytes([0xFF, marker])
    path.write_bytes(data)
    assert data.endswith(b'\xff\xd9')
    assert cv2.imread(str(path)) is not None
    with pytest.raises(BrokenImageError, match=r'mutated\.jpg'):
        read_image(path)


def test_whatever_pillow_refuses_is_refused(tmp_path, photo):
    """Random damage: never an image where Pillow raises an error."""
    path = tmp_path / 'mutated.jpg'
    photo(path, 48, 64)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        data = bytearray(whole)
        for at in rng.integers(2, len(data) - 2, 2):
            data[at : at + 2] = bytes([0xFF, rng.integers(0, 256)])
        path.write_bytes(data)
        try:
            with Image.open(path) as opened:
                rgb = np.asarray(opened.convert('RGB'))
        except (OSError, SyntaxError, ValueError):
            refused += 1
            with pytest.raises(BrokenImageError):
                read_image(path)
        else:
            np.testing.assert_array_equal(read_image(path), rgb[..., ::-1])
    assert 50 < refused < 290


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


def test_palette_is_that_of_the_davis_files(shared_dir):
    folder = shared_dir / 'data/DAVIS/Annotations/480p'
    with Image.open(folder / 'blackswan/00000.png') as image:
        theirs = np.array(image.getpalette()).reshape(256, 3)
    np.testing.assert_array_equal(davis_palette(), theirs)


def test_palette():
    palette = davis_palette()
    known = [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]
    assert palette[:4].tolist() == known and palette.dtype == np.uint8
    assert np.unique(palette, axis=0).shape == (256, 3)


@pytest.mark.parametrize('dtype', [np.uint8, np.int64, np.uint16])
def test_every_id_survives_writing_and_reading(tmp_path, dtype):
    ids = np.arange(256, dtype=dtype).reshape(8, 32)[:, ::-1]
    path = tmp_path / 'video' / '00000.png'
    write_id_mask(path, ids)
    with Image.open(path) as image:
        assert image.mode == 'P' and image.size == (32, 8)
        palette = np.array(image.getpalette()).reshape(-1, 3)
    np.testing.assert_array_equal(palette, davis_palette())
    back = read_id_mask(path)
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, ids)
    back[0, 0] = 7  # writable
    write_id_mask(path, ids > 7)
    np.testing.assert_array_equal(read_id_mask(path), ids > 7)
    assert [p.name for p in path.parent.iterdir()] == ['00000.png']


def test_foreign_palettes_greyscale_and_one_bit_masks(tmp_path):
    ids = np.array([[0, 3], [5, 255]], dtype=np.uint8)
    image = Image.fromarray(ids)
    image.save(tmp_path / 'g.png')
    image.putpalette(np.full((256, 3), 9, np.uint8).tobytes())
    image.save(tmp_path / 'p.png')
    for name in ('g.png', 'p.png'):
        np.testing.assert_array_equal(read_id_mask(tmp_path / name), ids)
    Image.fromarray(np.array([[False, True]])).save(tmp_path / 'b.png')
    assert read_id_mask(tmp_path / 'b.png').tolist() == [[0, 1]]


@pytest.mark.parametrize(
    'shape, dtype',
    [((4, 4, 3), np.uint8), ((4, 4, 4), np.uint8), ((4, 4), np.uint16)],
)
def test_a_mask_without_ids_is_refused(tmp_path, shape, dtype):
    path = tmp_path / 'colour.png'
    Image.fromarray(np.zeros(shape, dtype)).save(path)
    with pytest.raises(ValueError, match=r'colour\.png.*expected a palette'):
        read_id_mask(path)


@pytest.mark.parametrize(
    'ids, found',
    [
        (np.zeros((2, 2, 1), np.uint8), r'\(2, 2, 1\)'),
        (np.zeros((0, 4), np.uint8), r'\(0, 4\)'),
        (np.zeros((2, 2), np.float32), 'float32'),
        (np.array([[-1, 2]]), r'-1\.\.2'),
        (np.array([[-1, 2]], np.int8), r'-1\.\.2'),
        (np.array([[0, 256]]), r'0\.\.256'),
    ],
)
def test_what_is_no_id_mask_is_not_written(tmp_path, ids, found):
    with pytest.raises(ValueError, match=found):
        write_id_mask(tmp_path / 'm.png', ids)
    assert not list(tmp_path.iterdir())


def test_void_and_binary_masks():
    ids = np.array([[0, 1, 255]], np.uint8)
    assert objects_in(ids) == [1, 255] and not is_binary_mask(ids)
    assert without_void(ids, None).tolist() == [[0, 1, 0]]
    assert without_void(ids, True).tolist() == [[0, 1, 1]]
    assert ids.tolist() == [[0, 1, 255]]
    ids[:, 1] = 0
    assert is_binary_mask(ids) and not is_binary_mask(ids * 0)
    assert without_void(ids, None).tolist() == [[0, 0, 1]]
    assert without_void(ids, False).tolist() == [[0, 0, 0]]
