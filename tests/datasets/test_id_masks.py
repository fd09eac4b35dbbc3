"""Id masks: ids as they are stored, and no damage goes unseen."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from hvc_mm.datasets import (
    VOID,
    binarized,
    davis_palette,
    is_binary_mask,
    objects_in,
    read_id_mask,
    save_id_mask,
    without_void,
    write_id_mask,
)
from hvc_mm.datasets.id_masks import has_smooth_edges
from hvc_mm.utils.files import whole_file


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
    ids = ids.repeat(3, 0).repeat(3, 1)
    path = tmp_path / 'video' / '00000.png'
    write_id_mask(path, ids)
    with Image.open(path) as image:
        assert image.mode == 'P' and image.size == (96, 24)
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


def _drawn():
    """Three objects with straight edges, ids 1 to 3."""
    ids = np.zeros((60, 90), np.uint8)
    ids[10:30, 10:40], ids[35:50, 20:60], ids[5:25, 60:80] = 1, 2, 3
    return ids


def _grey_png(path, ids, depth):
    """Write a greyscale PNG whose samples of some bits are the ids."""
    bits = (ids[..., None] >> np.arange(depth - 1, -1, -1)) & 1
    rows = np.packbits(bits.reshape(len(ids), -1).astype(bool), axis=1)
    size = struct.pack('>IIBBBBB', *ids.shape[::-1], depth, 0, 0, 0, 0)
    pixels = zlib.compress(b''.join(b'\0' + row.tobytes() for row in rows))
    content = b'\x89PNG\r\n\x1a\n'
    for body in (b'IHDR' + size, b'IDAT' + pixels, b'IEND'):
        length = struct.pack('>I', len(body) - 4)
        content += length + body + struct.pack('>I', zlib.crc32(body))
    path.write_bytes(content)


@pytest.mark.parametrize('depth', [1, 2, 4, 8])
def test_samples_of_any_depth_are_the_ids(tmp_path, depth):
    ids = np.minimum(_drawn(), 2**depth - 1)
    _grey_png(tmp_path / 'grey.png', ids, depth)
    np.testing.assert_array_equal(read_id_mask(tmp_path / 'grey.png'), ids)


def _resized(ids):
    """What image tools make of a mask: smooth edges."""
    image = Image.fromarray((ids > 0).astype(np.uint8) * 255)
    small = image.resize((45, 30), Image.BILINEAR)
    return np.asarray(small.resize((90, 60), Image.BICUBIC))


def test_masks_with_smooth_edges_are_no_ids(tmp_path):
    ids, smooth = _drawn(), _resized(_drawn())
    path = tmp_path / 'smooth.png'
    Image.fromarray(smooth).save(path)
    with pytest.raises(ValueError, match=r'smooth\.png has \d+ ids.*--binar'):
        read_id_mask(path)
    for binarize in (True, None):
        one = read_id_mask(path, binarize)
        assert set(np.unique(one)) == {0, 1}
        assert (one != (ids > 0)).mean() < 0.03
    # Many objects that somebody drew are none of that.
    many = np.zeros((60, 90), np.uint8)
    for index, value in enumerate(range(7, 250, 11)):
        top, left = divmod(index, 6)
        many[top * 12 : top * 12 + 9, left * 14 : left * 14 + 3] = value
    write_id_mask(path, many)
    np.testing.assert_array_equal(read_id_mask(path), many)
    np.testing.assert_array_equal(read_id_mask(path, None), many)


def _spots(ids, wide=()):
    """Each id as one pixel, or 3x3 of them, so that one is inside."""
    mask = np.zeros((9, 4 * len(ids) + 4), np.uint8)
    for place, value in enumerate(ids):
        left, side = 2 + 4 * place, 3 if value in wide else 1
        mask[3 : 3 + side, left : left + side] = value
    return mask


@pytest.mark.parametrize(
    'ids, wide, is_smooth',
    [
        # From four ids on, void left out.
        ([100, 150, 200], [], False),
        ([100, 150, 200, VOID], [], False),
        ([100, 150, 200, 250], [], True),
        # The largest one is three times their number, ...
        ([8, 9, 10, 11], [], False),
        ([9, 10, 11, 12], [], True),
        (range(40, 59), [], True),  # 19 ids, the largest one is 58
        (range(38, 57), [], False),
        # ... or 60, from 20 of them on.
        (range(41, 61), [], True),
        (range(40, 60), [], False),
        (range(36, 61), [], True),
        (range(35, 60), [], False),
        # More than half of them are on edges only.
        ([50, 100, 150, 200], [50], True),
        ([50, 100, 150, 200], [50, 100], False),
    ],
)
def test_from_where_on_edges_are_smooth(ids, wide, is_smooth):
    assert has_smooth_edges(_spots(list(ids), wide)) is is_smooth


def test_the_object_is_above_half_of_the_largest_value():
    smooth = _spots([50, 100, 101, 201])
    assert set(smooth[binarized(smooth) > 0]) == {101, 201}
    assert set(smooth[binarized(smooth, lossy=True) > 0]) == {101, 201}
    few = _spots([50, 201])
    assert set(few[binarized(few) > 0]) == {50, 201}
    assert set(few[binarized(few, lossy=True) > 0]) == {201}


def test_a_mask_that_has_its_temporary_name_gets_no_other(tmp_path):
    path, seen = tmp_path / 'm.png', []
    with whole_file(path) as partial:
        save_id_mask(partial, _drawn())
        seen += [p.name for p in tmp_path.iterdir()]
    assert seen == [partial.name] and partial.name != path.name
    np.testing.assert_array_equal(read_id_mask(path), _drawn())
    write_id_mask(tmp_path / 'other.png', _drawn())
    assert path.read_bytes() == (tmp_path / 'other.png').read_bytes()
    for odd in (_drawn()[None], _drawn() / 2, _drawn().astype(int) - 1):
        with pytest.raises(ValueError, match=r'mask for .*bad\.png has'):
            save_id_mask(tmp_path / 'bad.png', odd)
    assert not (tmp_path / 'bad.png').exists()


def test_jpegs_are_no_id_masks(tmp_path):
    for name, ids in (('one', (_drawn() > 0) * 255), ('ids', _drawn() * 80)):
        path = tmp_path / f'{name}.jpg'
        Image.fromarray(ids.astype(np.uint8)).save(path, quality=90)
        with pytest.raises(ValueError, match=rf'{name}\.jpg is a JPEG.*--bin'):
            read_id_mask(path)
    one = read_id_mask(tmp_path / 'one.jpg', binarize=True)
    np.testing.assert_array_equal(one, _drawn() > 0)


def test_one_object_is_every_value_where_edges_are_sharp(tmp_path):
    write_id_mask(tmp_path / 'm.png', _drawn())
    merged = read_id_mask(tmp_path / 'm.png', binarize=True)
    np.testing.assert_array_equal(merged, _drawn() > 0)


def test_masks_are_turned_as_their_exif_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(_drawn())
    image.putpalette(davis_palette().tobytes())
    image.save(tmp_path / 'turned.png', exif=exif)
    turned = read_id_mask(tmp_path / 'turned.png')
    np.testing.assert_array_equal(turned, np.rot90(_drawn(), -1))
