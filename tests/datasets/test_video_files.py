"""Lists of videos and folders of frames, good ones and bad ones."""

import pytest

from hvc_mm.datasets.video_dataset import (
    check_folder,
    find_masks,
    list_frames,
    read_video_names,
    stem_of,
)


def test_names_of_davis_2017(tmp_path):
    path = tmp_path / 'val.txt'
    path.write_text('bear\n\ncamel \r\nbear\n')
    assert read_video_names(str(path)) == ['bear', 'camel']


def test_names_of_davis_2016_are_folders_of_its_pairs(tmp_path):
    path = tmp_path / 'val.txt'
    path.write_text(
        ''.join(
            f'/JPEGImages/480p/{v}/{i:05d}.jpg /Annotations/480p/{v}/'
            f'{i:05d}.png\n'
            for v in ('bear', 'camel')
            for i in range(3)
        )
    )
    assert read_video_names(str(path)) == ['bear', 'camel']


def test_names_of_folders_and_their_masks(tmp_path):
    path = tmp_path / 'val.txt'
    path.write_text('VIP/Images/v1 VIP/Annotations/v1\nVIP/Images/v2/ x\n')
    assert read_video_names(str(path)) == ['v1', 'v2']


def test_lists_without_names_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no list.*absent\.txt'):
        read_video_names(str(tmp_path / 'absent.txt'))
    (tmp_path / 'empty.txt').write_text('\n \n')
    with pytest.raises(ValueError, match=r'empty\.txt names no video'):
        read_video_names(str(tmp_path / 'empty.txt'))


def test_frames_are_sorted_and_nothing_else_is_listed(tmp_path):
    for name in (
        '00002.jpg',
        '00000.png',
        '00001.JPG',
        '._00000.jpg',
        'a.txt',
    ):
        (tmp_path / name).touch()
    stems = [stem_of(path) for path in list_frames(str(tmp_path))]
    assert stems == ['00000', '00001', '00002']


def test_folders_without_frames_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match='absent'):
        list_frames(str(tmp_path / 'absent'))
    with pytest.raises(ValueError, match='no frame in .*expected.*jpg'):
        list_frames(str(tmp_path))


def test_two_frames_of_one_name_are_refused(tmp_path):
    for name in ('00000.jpg', '00000.png', '00001.jpg'):
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match='two frames named 00000'):
        list_frames(str(tmp_path))


def test_masks_by_stem_where_there_are_any(tmp_path):
    (tmp_path / '00005.png').touch()
    (tmp_path / '00005.jpg').touch()
    assert find_masks(str(tmp_path)) == {'00005': str(tmp_path / '00005.png')}
    assert find_masks(str(tmp_path / 'absent')) == {}


def test_a_missing_root_says_how_to_set_it(tmp_path):
    check_folder(str(tmp_path), 'anything')
    with pytest.raises(FileNotFoundError, match='absent.*HVC_DATA_ROOT'):
        check_folder(str(tmp_path / 'absent'), 'frames')
