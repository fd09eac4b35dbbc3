"""Zips for challenge servers: exactly the right masks, or none."""

import zipfile

import numpy as np
import pytest
from PIL import Image

from hvc_mm.datasets import read_id_mask, write_id_mask
from hvc_mm.evaluation.metrics.prediction_files import (
    WrittenMask,
    check_zip,
    write_zip,
)
from hvc_mm.utils.outputs import MANIFEST

SHAPES = {'bear': (4, 6), 'cat': (5, 3)}
FRAMES = [
    WrittenMask(video, name, shape)
    for video, shape in SHAPES.items()
    for name in ('00000', '00005')
]


@pytest.fixture
def masks(tmp_path):
    """A folder of masks, and one that doesn't belong in the zip."""
    folder = tmp_path / 'masks'
    for video, name, shape in FRAMES:
        ids = np.arange(np.prod(shape)).reshape(shape)
        write_id_mask(folder / video / f'{name}.png', ids)
    write_id_mask(folder / 'bear/00001.png', np.ones((4, 6), int))
    return folder


@pytest.mark.parametrize('root', ['', 'Annotations'])
def test_the_zip_holds_the_masks_and_nothing_else(masks, tmp_path, root):
    path = tmp_path / 'new' / 'submission.zip'
    write_zip(path, masks, FRAMES[::-1], root)
    names = [f'{video}/{name}.png' for video, name, _ in FRAMES]
    with zipfile.ZipFile(path) as archive:
        found = archive.namelist()
        archive.extractall(tmp_path / 'back')
    assert found == [f'{root}/{name}' if root else name for name in names]
    for name in names:
        np.testing.assert_array_equal(
            read_id_mask(tmp_path / 'back' / root / name),
            read_id_mask(masks / name),
        )
    assert {p.name for p in path.parent.iterdir()} == {path.name, MANIFEST}


def _foreign(folder):
    image = Image.fromarray(np.zeros((4, 6), np.uint8)).convert('P')
    image.putpalette([9, 9, 9] * 256)
    image.save(folder / 'bear/00000.png')


def _grey(folder):
    Image.fromarray(np.zeros((4, 6), np.uint8)).save(folder / 'bear/00000.png')


def _small(folder):
    write_id_mask(folder / 'bear/00000.png', np.zeros((2, 2), int))


@pytest.mark.parametrize(
    'damage, message',
    [
        (_grey, 'has no palette.*mode L'),
        (_foreign, 'has no palette'),
        (_small, 'is 2 x 2, its frame 4 x 6'),
    ],
)
def test_wrong_masks_leave_no_zip(masks, tmp_path, damage, message):
    damage(masks)
    with pytest.raises(ValueError, match=rf'bear/00000\.png {message}'):
        write_zip(tmp_path / 'out/a.zip', masks, FRAMES)
    assert not list((tmp_path / 'out').iterdir())


def test_missing_extra_repeated_and_damaged_frames(masks, tmp_path):
    path = tmp_path / 'a.zip'
    write_zip(path, masks, FRAMES)
    check_zip(path, FRAMES)
    more = [*FRAMES, WrittenMask('dog', '00000', (4, 6))]
    for frames, message in (
        (FRAMES[:-1], r"extra: \['cat/00005\.png'\]"),
        (more, r"missing: \['dog/00000\.png'\]"),
        ([*FRAMES, FRAMES[0]], 'given twice'),
    ):
        with pytest.raises(ValueError, match=message):
            check_zip(path, frames)
    with pytest.raises(FileNotFoundError, match='dog'):
        write_zip(tmp_path / 'b.zip', masks, more)
    with pytest.raises(ValueError, match='no mask'):
        write_zip(tmp_path / 'b.zip', masks, [])
    assert not (tmp_path / 'b.zip').exists()
    data = bytearray(path.read_bytes())
    data[200] ^= 0xFF  # inside the first mask
    path.write_bytes(data)
    with pytest.raises(ValueError, match='damaged'):
        check_zip(path, FRAMES)


def test_a_zip_on_a_full_disk(masks, tmp_path, file_limit):
    path = tmp_path / 'out/a.zip'
    with file_limit(500), pytest.raises(OSError, match=r'out/a\.zip'):
        write_zip(path, masks, FRAMES)
    assert not list(path.parent.glob('*.zip*'))
    assert not list(path.parent.glob('.*.partial*'))
