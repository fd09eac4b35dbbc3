"""Frames from files, folders and memory."""

import io
import warnings
from fractions import Fraction

import cv2
import mmcv
import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from hvc_mm.apis import open_frames, track_frames


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
            assert np.abs(frame.image.astype(int) - image).mean() < 40
            assert frame.path is None


def test_arrays_paths_and_generators(frame_folder, moving_square):
    images = moving_square[0]
    read = []
    for given, length in (
        (images, 8),
        (list(images), 8),
        (sorted(frame_folder.iterdir()), 8),
        ((read.append(0) or image for image in images), None),
    ):
        source = open_frames(given)
        assert source.length == length
        frames = iter(source)
        found = [next(frames).image]
        assert len(read) < 2  # nothing is read ahead
        found += [frame.image for frame in frames]
        np.testing.assert_array_equal(np.stack(found), images)
    assert open_frames(source) is source
    assert source.has_frame(9) is None


def test_pictures_and_tensors_are_rgb(moving_square):
    images = moving_square[0][:3]
    pictures = [Image.fromarray(image[..., ::-1]) for image in images]
    tensors = torch.from_numpy(images[..., ::-1].copy()).movedim(-1, 1)
    for given in (pictures, list(tensors), tensors):
        for frame, image in zip(open_frames(given), images):
            np.testing.assert_array_equal(frame.image, image)
    with pytest.raises(ValueError, match='frame 0 of video is float32'):
        next(iter(open_frames(tensors / 255)))


def test_an_estimate_is_checked_where_it_denies_a_frame(video):
    source = open_frames(video)
    source.length = 5  # as a container may say
    assert source.has_frame(4) and source.length == 5
    assert source.has_frame(7) and source.length == 8
    assert source.has_frame(8) is False


def test_a_cut_video_is_noticed(video):
    # The index at the end is lost, and half of the frames.
    data = video.read_bytes()
    video.write_bytes(data[: len(data) // 2])
    source = open_frames(video)
    source.length = 8
    with pytest.warns(UserWarning, match=r'square.avi ended after \d of 8'):
        assert 0 < len(list(source)) < 8


@pytest.fixture
def noisy(tmp_path):
    """A video of 12 frames with noise in its middle."""
    path = tmp_path / 'noisy.mp4'
    code = cv2.VideoWriter_fourcc(*'mp4v')
    writer = cv2.VideoWriter(str(path), code, 12, (64, 48))
    rng = np.random.default_rng(0)
    for _ in range(12):
        writer.write(rng.integers(0, 255, (48, 64, 3), np.uint8))
    writer.release()
    data = bytearray(path.read_bytes())
    middle, length = len(data) // 2, len(data) // 8
    data[middle : middle + length] = rng.bytes(length)
    path.write_bytes(data)
    return path


def test_noise_inside_a_video_is_no_end(noisy):
    """It was read up to the noise, as a video that is cut off."""
    frames = []
    with pytest.raises(ValueError, match=r'noisy.mp4 is damaged: frame 4 '):
        for frame in open_frames(noisy):
            frames.append(frame)
    assert len(frames) == 4


def test_a_varying_frame_rate_is_no_damage(tmp_path):
    """The number of frames in Matroska is an estimate: here 504 for 12."""
    av = pytest.importorskip('av')
    path, rng = tmp_path / 'varying.mkv', np.random.default_rng(0)
    times = [0, 40, 80, 1000, 1040, 5000, 5040, 5080, 20000, 20040, 20080]
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('libx264', rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, 'yuv420p'
        stream.codec_context.time_base = Fraction(1, 1000)
        for time in [*times, 20120]:
            frame = av.VideoFrame(64, 48, 'yuv420p')
            for plane in frame.planes:  # else whatever is in the memory
                plane.update(rng.bytes(plane.buffer_size))
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    source = open_frames(path)
    assert source.length == 504
    with warnings.catch_warnings():
        warnings.simplefilter('error', UserWarning)
        assert len(list(source)) == 12
    # What is missing at its end is still noticed.
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 3 // 4])
    with pytest.warns(UserWarning, match='it may be cut off or damaged'):
        assert 0 < len(list(open_frames(path))) < 12


@pytest.mark.parametrize('source', [iter(()), (f for f in [])])
def test_a_source_without_frames(source):
    with pytest.raises(ValueError, match='at least one frame, found none'):
        list(open_frames(source))


def test_what_cannot_be_read_is_named(tmp_path, moving_square):
    (tmp_path / 'text.mp4').write_text('no video')
    (tmp_path / 'empty').mkdir()
    for given, complaint in (
        (tmp_path / 'gone.mp4', 'no video .*gone.mp4'),
        (tmp_path / 'text.mp4', 'cannot read the video .*text.mp4'),
        (tmp_path / 'empty', 'no frame in .*empty'),
        ('a.jpg', 'single image'),
        ([], 'found none'),
        (3, 'not int'),
        (moving_square[0][0], r'\(48, 64, 3\)'),
    ):
        with pytest.raises(
            (FileNotFoundError, ValueError, TypeError), match=complaint
        ):
            open_frames(given)


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


@pytest.mark.parametrize('total', [3, None])
def test_progress_shows_count_and_rate(total):
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    letters = (letter for letter in 'abc')
    frames = track_frames(letters, total, 'bear', console=console)
    assert list(frames) == ['a', 'b', 'c']
    text = console.file.getvalue()
    for part in ('bear', f'3/{total or "?"}', 'frames/s'):
        assert part in text
    silent = Console(file=io.StringIO(), width=100, force_terminal=True)
    frames = track_frames(iter('ab'), 2, show=False, console=silent)
    assert list(frames) == ['a', 'b']
    assert silent.file.getvalue().strip() == ''


def test_an_error_below_the_progress_comes_out():
    def broken():
        yield 1
        raise OSError('frame 1')

    with pytest.raises(OSError, match='frame 1'):
        list(track_frames(broken(), 2, console=Console(file=io.StringIO())))


def test_two_frames_of_one_name_are_refused(frame_folder, moving_square):
    """Their results would be files of one name."""
    other = frame_folder / 'other'
    for folder in (frame_folder, other):
        mmcv.imwrite(moving_square[0][0], str(folder / '00000.png'))
    both = [folder / '00000.png' for folder in (frame_folder, other)]
    with pytest.raises(ValueError, match='other/00000.png and .* both named'):
        list(open_frames(both))
    with pytest.raises(ValueError, match='frame 0'):
        list(open_frames([moving_square[0][0], both[0]]))
    mmcv.imwrite(moving_square[0][0], str(frame_folder / '3.jpg'))
    message = r'two frames named 3, 3\.jpg and 3\.png; .*masks in a folder'
    with pytest.raises(ValueError, match=message):
        open_frames(frame_folder)
