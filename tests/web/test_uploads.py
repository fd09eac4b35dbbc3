"""What is taken from a browser; the rest is refused in one sentence."""

import shutil

import mmcv
import numpy as np
import pytest

from hvc_mm.web.uploads import Limits, save_pictures, take_upload


def take(files, folder, limits=None):
    limits = limits or Limits()
    source = take_upload(files, folder / 'upload', limits)
    counts = list(save_pictures(source, folder, limits))
    return source, counts


def test_a_video_is_moved_and_looked_at(video, tmp_path, moving_square):
    upload = tmp_path / 'hash/square.avi'
    upload.parent.mkdir()
    shutil.copy(video, upload)
    source, counts = take([upload], tmp_path / 's')
    assert (source.name, source.length, source.fps) == ('square', 8, 12)
    assert counts == list(range(1, 9))
    assert not upload.parent.exists()
    assert (tmp_path / 's/upload/square.avi').is_file()
    picture = mmcv.imread(str(tmp_path / 's/pictures/00007.jpg'))
    assert np.abs(picture.astype(int) - moving_square[0][7]).mean() < 20


def test_images_come_in_order_and_other_files_are_left_out(tmp_path):
    for number in (10, 9, 11):
        image = np.full((6, 8, 3), number, np.uint8)
        mmcv.imwrite(image, str(tmp_path / f'sent/{number}.png'))
    (tmp_path / 'sent/notes.txt').write_text('of the user')
    (tmp_path / 'sent/._9.png').write_text('of a Mac')
    source, counts = take(sorted((tmp_path / 'sent').iterdir()), tmp_path)
    assert [frame.image[0, 0, 0] for frame in source] == [9, 10, 11]
    assert (source.length, counts) == (3, [1, 2, 3])


@pytest.mark.parametrize(
    'name, content, complaint',
    [
        ('a.mp4', b'of the user', 'a.mp4 is no video; expected mp4'),
        ('a.mp4', b'#EXTM3U\nfile:///etc/passwd\n', 'a.mp4 is no video'),
        ('a.mp4', b'ffconcat version 1.0\nfile b.mp4\n', 'a.mp4 is no video'),
        ('a.mp4', b'\0\0\0\x18ftypmp42' + b'\0' * 99, 'cannot read the video'),
        ('a.zip', b'PK\x03\x04' + b'\0' * 30, 'a.zip is no video'),
        ('a.mp4', b'', 'a.mp4 is no video'),
    ],
)
def test_no_video_is_refused(tmp_path, name, content, complaint):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=complaint):
        take([tmp_path / name], tmp_path / 's')


@pytest.mark.parametrize(
    'limits, complaint',
    [
        (Limits(frames=7), 'square has more than 7 frames'),
        (Limits(pixels=3000), 'frames of 64x48 pixels; at most 0.0 million'),
        (Limits(megabytes=0), r'square.avi has 0 MB; at most 0 MB'),
    ],
)
def test_too_much_is_refused(video, tmp_path, limits, complaint):
    with pytest.raises(ValueError, match=complaint):
        take([video], tmp_path / 's', limits)


def test_files_that_do_not_go_together(tmp_path):
    for name in ('a/1.png', 'b/1.png'):
        mmcv.imwrite(np.zeros((4, 4, 3), np.uint8), str(tmp_path / name))
    images = [tmp_path / 'a/1.png', tmp_path / 'b/1.png']
    with pytest.raises(ValueError, match='two images are named 1.png'):
        take(images, tmp_path / 's')
    texts = [tmp_path / 'a.txt', tmp_path / 'b.txt']
    for path in texts:
        path.write_text('of the user')
    with pytest.raises(ValueError, match='none of 2 files is an image'):
        take(texts, tmp_path / 's')
    with pytest.raises(ValueError, match='gone.mp4 is not here'):
        take([tmp_path / 'gone.mp4'], tmp_path / 's')
    with pytest.raises(ValueError, match='choose it again'):
        take([], tmp_path / 's')
