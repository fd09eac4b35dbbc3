"""Pictures into a video or a folder, by the name of the output."""

import mmcv
import numpy as np
import pytest

from hvc_mm.apis.picture_writer import PictureWriter


def test_folder(tmp_path):
    picture = np.zeros((4, 6, 3), np.uint8)
    picture[..., 0] = 200
    with PictureWriter(tmp_path / 'new' / 'v1.2', suffix='.png') as writer:
        writer.write(picture, 'a')
    read = mmcv.imread(str(tmp_path / 'new/v1.2/a.png'), channel_order='rgb')
    np.testing.assert_array_equal(read, picture)


def test_video(tmp_path):
    with PictureWriter(tmp_path / 'v.AVI', fps=7) as writer:
        for _ in range(3):
            writer.write(np.zeros((4, 6, 3), np.uint8), 'ignored')
    reader = mmcv.VideoReader(str(tmp_path / 'v.AVI'))
    assert (len(reader), reader.fps) == (3, 7)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / 'notes.txt').touch()
    with pytest.raises(ValueError, match='notes.txt is a file'):
        PictureWriter(tmp_path / 'notes.txt')
