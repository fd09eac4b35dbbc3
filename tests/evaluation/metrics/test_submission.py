"""Zips for challenge servers: exactly the right masks, or none."""

import zipfile

import numpy as np
import pytest
from PIL import Image

from hvc_mm.datasets import read_id_mask, write_id_mask
from hvc_mm.evaluation.metrics.submission import (
    SubmissionFrame,
    check_submission_zip,
    write_submission_zip,
)


@pytest.fixture
def masks(tmp_path):
    """A folder of masks, and what of it belongs in the zip."""
    folder = tmp_path / 'masks'
    frames = []
    for video, shape in (('bear', (4, 6)), ('cat', (5, 3))):
        for name in ('00000', '00005'):
            ids = np.arange(np.prod(shape)).reshape(shape)
            write_id_mask(folder / video / f'{name}.png', ids)
            frames.append(SubmissionFrame(video, name, shape))
    write_id_mask(folder / 'bear/00001.png', np.ones((4, 6), int))
    return folder, frames


@pytest.mark.parametrize('root', ['', 'Annotations'])
def test_the_zip_holds_the_masks_and_nothing_else(masks, tmp_path, root):
    folder, frames = masks
    path = tmp_path / 'new' / 'submission.zip'
    write_submission_zip(path, folder, frames[::-1], root)
    names = [
        f'{video}/{name}.png'
        for video in ('bear', 'cat')
        for name in ('00000', '00005')
    ]
    with zipfile.ZipFile(path) as archive:
        found = archive.namelist()
        archive.extractall(tmp_path / 'back')
    assert found == [f'{root}/{name}' if root else name for name in names]
    for name in names:
        np.testing.assert_array_equal(
            read_id_mask(tmp_path / 'back' / root / name),
            read_id_mask(folder / name),
        )
    assert [p.name for p in path.parent.iterdir()] == ['submission.zip']


def test_a_zip_that_exists_is_kept(masks, tmp_path):
    path = tmp_path / 'old.zip'
    path.write_text('precious')
    with pytest.raises(FileExistsError, match=r'old\.zip'):
        write_submission_zip(path, *masks)
    assert path.read_text() == 'precious'


def _grey(folder):
    Image.fromarray(np.zeros((4, 6), np.uint8)).save(folder / 'bear/00000.png')


def _foreign(folder):
    image = Image.fromarray(np.zeros((4, 6), np.uint8)).convert('P')
    image.putpalette([9, 9, 9] * 256)
    image.save(folder / 'bear/00000.png')


def _small(folder):
    write_id_mask(folder / 'cat/00005.png', np.zeros((2, 2), int))


@pytest.mark.parametrize(
    'damage, message',
    [
        (_grey, r'bear/00000\.png has no palette.*mode L'),
        (_foreign, r'bear/00000\.png has no palette'),
        (_small, r'cat/00005\.png is 2 x 2, its frame 5 x 3'),
    ],
)
def test_wrong_masks_leave_no_zip(masks, tmp_path, damage, message):
    folder, frames = masks
    damage(folder)
    with pytest.raises(ValueError, match=message):
        write_submission_zip(tmp_path / 'out/a.zip', folder, frames)
    assert not list((tmp_path / 'out').iterdir())


def test_missing_extra_and_repeated_frames(masks, tmp_path):
    folder, frames = masks
    path = tmp_path / 'a.zip'
    write_submission_zip(path, folder, frames)
    check_submission_zip(path, frames)
    with pytest.raises(ValueError, match=r"extra: \['cat/00005\.png'\]"):
        check_submission_zip(path, frames[:-1])
    more = [*frames, SubmissionFrame('dog', '00000', (4, 6))]
    with pytest.raises(ValueError, match=r"missing: \['dog/00000\.png'\]"):
        check_submission_zip(path, more)
    with pytest.raises(ValueError, match='given twice'):
        check_submission_zip(path, [*frames, frames[0]])
    with pytest.raises(FileNotFoundError, match='dog'):
        write_submission_zip(tmp_path / 'b.zip', folder, more)
    with pytest.raises(ValueError, match='no mask'):
        write_submission_zip(tmp_path / 'b.zip', folder, [])
    assert not (tmp_path / 'b.zip').exists()


def test_a_damaged_zip_is_noticed(masks, tmp_path):
    folder, frames = masks
    path = tmp_path / 'a.zip'
    write_submission_zip(path, folder, frames)
    data = bytearray(path.read_bytes())
    data[200] ^= 0xFF  # inside the first mask
    path.write_bytes(data)
    with pytest.raises(ValueError, match='damaged'):
        check_submission_zip(path, frames)
