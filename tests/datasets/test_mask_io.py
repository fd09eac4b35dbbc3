"""Id masks: what is written is read back, and bad files are named."""

import numpy as np
import pytest
from PIL import Image

from hvc_mm.datasets.image_io import (
    davis_palette,
    read_id_mask,
    write_id_mask,
)


def test_palette_is_that_of_the_davis_files(shared_dir):
    folder = shared_dir / 'data/DAVIS/Annotations/480p'
    with Image.open(folder / 'blackswan/00000.png') as image:
        theirs = np.array(image.getpalette()).reshape(256, 3)
    np.testing.assert_array_equal(davis_palette(), theirs)


def test_palette_known_colours():
    palette = davis_palette()
    assert palette.shape == (256, 3) and palette.dtype == np.uint8
    assert palette[:4].tolist() == [
        [0, 0, 0],
        [128, 0, 0],
        [0, 128, 0],
        [128, 128, 0],
    ]
    assert len({tuple(colour) for colour in palette}) == 256


def test_every_id_survives_writing_and_reading(tmp_path):
    ids = np.arange(256, dtype=np.uint8).reshape(8, 32)
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
    assert [p.name for p in path.parent.iterdir()] == ['00000.png']


@pytest.mark.parametrize('dtype', [bool, np.int64, np.uint16])
def test_other_integer_types_are_written(tmp_path, dtype):
    ids = (np.arange(12).reshape(3, 4) % 2).astype(dtype)
    write_id_mask(tmp_path / 'm.png', ids[:, ::-1])
    np.testing.assert_array_equal(
        read_id_mask(tmp_path / 'm.png'), ids[:, ::-1].astype(np.uint8)
    )


def test_a_foreign_palette_does_not_change_ids(tmp_path):
    ids = np.array([[0, 3], [5, 255]], dtype=np.uint8)
    image = Image.fromarray(ids).convert('L')
    image.putpalette(np.full((256, 3), 9, np.uint8).tobytes())
    image.save(tmp_path / 'm.png')
    np.testing.assert_array_equal(read_id_mask(tmp_path / 'm.png'), ids)


def test_greyscale_and_one_bit_masks(tmp_path):
    Image.fromarray(np.array([[0, 255]], np.uint8)).save(tmp_path / 'g.png')
    assert read_id_mask(tmp_path / 'g.png').tolist() == [[0, 255]]
    Image.fromarray(np.array([[False, True]])).save(tmp_path / 'b.png')
    assert read_id_mask(tmp_path / 'b.png').tolist() == [[0, 1]]


@pytest.mark.parametrize(
    'array',
    [
        np.zeros((4, 4, 3), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4), np.uint16),
    ],
)
def test_a_mask_without_ids_is_refused(tmp_path, array):
    path = tmp_path / 'colour.png'
    Image.fromarray(array).save(path)
    with pytest.raises(ValueError, match=r'colour\.png.*expected a palette'):
        read_id_mask(path)


def test_missing_foreign_and_truncated_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere'):
        read_id_mask(tmp_path / 'nowhere.png')
    text = tmp_path / 'text.png'
    text.write_text('not an image')
    with pytest.raises(ValueError, match=r'text\.png'):
        read_id_mask(text)
    whole = tmp_path / 'whole.png'
    rng = np.random.default_rng(0)
    write_id_mask(whole, rng.integers(0, 255, (64, 64)))
    cut = tmp_path / 'cut.png'
    data = whole.read_bytes()
    cut.write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match=r'cut\.png'):
        read_id_mask(cut)


@pytest.mark.parametrize(
    'ids, found',
    [
        (np.zeros((2, 2, 1), np.uint8), r'\(2, 2, 1\)'),
        (np.zeros((0, 4), np.uint8), r'\(0, 4\)'),
        (np.zeros((2, 2), np.float32), 'float32'),
        (np.array([[-1, 2]]), r'-1\.\.2'),
        (np.array([[0, 256]]), r'0\.\.256'),
    ],
)
def test_what_is_no_id_mask_is_not_written(tmp_path, ids, found):
    with pytest.raises(ValueError, match=found):
        write_id_mask(tmp_path / 'm.png', ids)
    assert not list(tmp_path.iterdir())
