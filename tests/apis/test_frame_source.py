"""Frames from files, folders and memory, read as they are needed."""

import mmcv
import numpy as np
import pytest

from hvc_mm.apis import VideoWriter, open_frames


@pytest.fixture
def video(tmp_path, moving_square):
    path = tmp_path / 'square.avi'
    with VideoWriter(path, fps=12) as writer:
        for frame in moving_square[0]:
            writer.write(frame[..., ::-1])
    return path


def test_folder_without_loss_in_the_order_of_numbers(
    frame_folder, moving_square
):
    # '10' comes after '9', though not as text.
    extra = moving_square[0][0] // 2
    mmcv.imwrite(extra, str(frame_folder / '10.png'))
    (frame_folder / '._0.png').write_bytes(b'a copy from a Mac')
    source = open_frames(frame_folder)
    frames = list(source)
    assert (source.length, source.name, source.fps) == (9, 'square', None)
    assert [frame.name for frame in frames] == [*map(str, range(8)), '10']
    assert [frame.index for frame in frames] == list(range(9))
    for frame, image in zip(frames, [*moving_square[0], extra]):
        np.testing.assert_array_equal(frame.image, image)


def test_video_file_twice(video, moving_square):
    source = open_frames(video)
    assert (source.name, source.fps, source.length) == ('square', 12, 8)
    for _ in range(2):
        frames = list(source)
        assert [frame.name for frame in frames][:2] == ['00000', '00001']
        assert len(frames) == 8
        for frame, image in zip(frames, moving_square[0]):
            # Motion JPEG loses detail of the noise, not the square.
            error = np.abs(frame.image.astype(int) - image).mean()
            assert error < 40
            assert frame.path is None


def test_arrays_paths_and_generators(frame_folder, moving_square):
    images = moving_square[0]
    paths = sorted(frame_folder.iterdir())
    for given, length in (
        (images, 8),
        (list(images), 8),
        (paths, 8),
        ((image for image in images), None),
    ):
        source = open_frames(given)
        assert source.length == length
        frames = list(source)
        np.testing.assert_array_equal(
            np.stack([frame.image for frame in frames]), images
        )
    assert open_frames(source) is source


def test_nothing_is_read_ahead():
    read = []

    def images():
        for index in range(100):
            read.append(index)
            yield np.zeros((4, 4, 3), np.uint8)

    frames = iter(open_frames(images()))
    next(frames)
    assert read == [0]


def test_a_cut_video_is_noticed(video):
    # The index at the end is lost, and half of the frames.
    data = video.read_bytes()
    video.write_bytes(data[: len(data) // 2])
    source = open_frames(video)
    source.length = 8
    with pytest.warns(UserWarning, match=r'square.avi ended after \d of 8'):
        assert 0 < len(list(source)) < 8


def test_what_cannot_be_read_is_named(tmp_path, moving_square):
    with pytest.raises(FileNotFoundError, match='no video .*gone.mp4'):
        open_frames(tmp_path / 'gone.mp4')
    (tmp_path / 'text.mp4').write_text('no video')
    with pytest.raises(ValueError, match='cannot read the video .*text.mp4'):
        open_frames(tmp_path / 'text.mp4')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(ValueError, match='no frame in .*empty'):
        open_frames(tmp_path / 'empty')
    with pytest.raises(ValueError, match='single image'):
        open_frames('a.jpg')
    with pytest.raises(ValueError, match='found none'):
        open_frames([])
    with pytest.raises(TypeError, match='not int'):
        open_frames(3)
    with pytest.raises(ValueError, match=r'\(48, 64, 3\)'):
        open_frames(moving_square[0][0])


@pytest.mark.parametrize(
    ('second', 'complaint'),
    [
        (np.zeros((4, 6, 3), np.uint8), 'has 6x4 pixels; expected 8x4'),
        (np.zeros((4, 8), np.uint8), r'uint8 \(4, 8\)'),
        (np.zeros((4, 8, 3)), 'float64'),
        ('gone.png', 'gone.png'),
    ],
)
def test_bad_frames_are_named(second, complaint):
    first = np.zeros((4, 8, 3), np.uint8)
    with pytest.raises((ValueError, OSError), match=complaint):
        list(open_frames([first, second]))
