"""Videos that can be read back, and folders of pictures."""

import mmcv
import numpy as np
import pytest
from PIL import Image

from hvc_mm.apis import PictureWriter, picture_writer

FOURCC = {'mp4v': 'FMP4', 'MJPG': 'MJPG', 'VP90': 'VP90', 'h264': 'h264'}


def smooth_frames(height=48, width=64):
    """Codecs keep smooth pictures nearly as they are."""
    y, x = np.mgrid[:height, :width]
    for t in range(5):
        levels = (3 * y, 2 * x + 10 * t, np.full_like(x, 60))
        yield np.stack(levels, -1).astype(np.uint8)


def write(path, **kwargs):
    with PictureWriter(path, **kwargs) as writer:
        for index, frame in enumerate(smooth_frames()):
            writer.write(frame, f'{index}')
    return writer


def read_back(path):
    reader = mmcv.VideoReader(str(path))
    code = int(reader.fourcc).to_bytes(4, 'little').decode()
    return reader, [mmcv.bgr2rgb(frame) for frame in reader], code


@pytest.mark.parametrize('suffix', ['.mp4', '.mov', '.mkv', '.AVI', '.webm'])
def test_round_trip(suffix, tmp_path):
    path = tmp_path / 'new' / f'video{suffix}'
    writer = write(path, fps=10)
    reader, frames, code = read_back(path)
    assert (len(frames), writer.count) == (5, 5)
    assert reader.fps == pytest.approx(10)
    assert code == FOURCC[writer.codec]
    for got, wanted in zip(frames, smooth_frames()):
        assert np.abs(got.astype(int) - wanted).mean() < 6


def test_gif(tmp_path):
    path = tmp_path / 'new' / 'v.GIF'
    first = next(smooth_frames())
    frames = [np.roll(first, 13 * t, axis=1) for t in range(5)]
    with PictureWriter(path, fps=12.5) as writer:
        for frame in frames:
            writer.write(frame)
    assert writer.codec == 'gif'
    with Image.open(path) as image:
        assert (image.n_frames, image.info['loop']) == (5, 0)
        for index, wanted in enumerate(frames):
            image.seek(index)
            assert image.info['duration'] == 80
            got = np.array(image.convert('RGB')).astype(int)
            assert np.abs(got - wanted).mean() < 16
    # Equal pictures, and what can't be seen: half of the bytes and more.
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    for changed in (False, True):
        with PictureWriter(tmp_path / f'{changed}.gif') as writer:
            for _ in range(4):
                writer.write(noise)
                noise = 255 - noise if changed else noise ^ 1
    sizes = [(tmp_path / f'{c}.gif').stat().st_size for c in (False, True)]
    assert sizes[0] < sizes[1] / 3


def test_without_pyav_opencv_writes(tmp_path, monkeypatch):
    monkeypatch.setattr(picture_writer, 'av', None)
    assert write(tmp_path / 'v.mp4').codec == 'mp4v'
    assert read_back(tmp_path / 'v.mp4')[2] == 'FMP4'


def test_h264_that_browsers_show(tmp_path):
    av = pytest.importorskip('av')
    write(tmp_path / 'v.mp4', fps=29.97)
    with av.open(str(tmp_path / 'v.mp4')) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == 'h264'
        assert stream.codec_context.pix_fmt == 'yuv420p'
        assert float(stream.average_rate) == pytest.approx(29.97, abs=0.01)
        assert sum(1 for _ in container.decode(stream)) == 5


def test_odd_sizes_are_padded_and_what_was_written_before_an_error_plays(
    tmp_path,
):
    with pytest.raises(ZeroDivisionError):
        with PictureWriter(tmp_path / 'v.mp4') as writer:
            for frame in smooth_frames(47, 63):
                writer.write(frame)
            raise ZeroDivisionError
    reader, frames, _ = read_back(tmp_path / 'v.mp4')
    assert reader.resolution == (64, 48) and len(frames) == 5
    wanted = next(smooth_frames(47, 63))
    assert np.abs(frames[0][:47, :63].astype(int) - wanted).mean() < 6


@pytest.mark.parametrize('limit', [0, 2000])
@pytest.mark.parametrize(
    'name', ['v.mp4', 'v.mkv', 'v.avi', 'v.webm', 'v.gif', 'f']
)
@pytest.mark.parametrize('pyav', [True, False])
def test_a_full_disk_is_an_error_and_leaves_no_half_file(
    tmp_path, file_limit, monkeypatch, name, limit, pyav
):
    """OpenCV says nothing: `video_demo` once counted frames of no video."""
    if not pyav:
        monkeypatch.setattr(picture_writer, 'av', None)
    noise = np.random.default_rng(0).integers(0, 255, (12, 64, 96, 3))
    with pytest.raises(OSError, match=f'new/{name}'), file_limit(limit):
        with PictureWriter(tmp_path / 'new' / name) as writer:
            for index, picture in enumerate(noise.astype(np.uint8)):
                writer.write(picture, str(index))
    left = [path for path in tmp_path.rglob('*') if path.is_file()]
    assert not left


def test_an_earlier_video_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / 'v.avi'
    write(path)
    first = path.read_bytes()
    with PictureWriter(path) as writer:
        for frame in [*smooth_frames()][:2]:
            writer.write(frame)
            assert path.read_bytes() == first
    assert len(read_back(path)[1]) == 2
    path.write_text('of the user')
    with pytest.raises(FileExistsError, match=r'v\.avi exists already'):
        write(path)
    write(path, force=True)


def test_other_names_are_folders(tmp_path):
    writer = write(tmp_path / 'new' / 'v1.2')
    assert writer.codec is None
    read = mmcv.imread(str(tmp_path / 'new/v1.2/3.jpg'), channel_order='rgb')
    wanted = [*smooth_frames()][3].astype(int)
    assert np.abs(read - wanted).mean() < 6


def test_writing_errors_name_the_file(tmp_path):
    (tmp_path / 'notes.txt').touch()
    with pytest.raises(ValueError, match='notes.txt is a file'):
        PictureWriter(tmp_path / 'notes.txt')
    with pytest.raises(ValueError, match='fps'):
        PictureWriter(tmp_path / 'v.mp4', fps=0)
    picture = np.zeros((4, 8, 3), np.uint8)
    with PictureWriter(tmp_path / 'v.mp4') as writer:
        writer.write(picture)
        with pytest.raises(ValueError, match=r'frame 1 of .*v.mp4'):
            writer.write(picture[:, :6])
    (tmp_path / 'folder.avi').mkdir()
    with pytest.raises(OSError, match='folder.avi'):
        PictureWriter(tmp_path / 'folder.avi').write(picture)
