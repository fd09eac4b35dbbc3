"""Videos that can be read back, with the codec that they claim."""

import mmcv
import numpy as np
import pytest

from hvc_mm.apis import VideoWriter, video_writer

FOURCC = {'mp4v': 'FMP4', 'MJPG': 'MJPG', 'VP90': 'VP90', 'h264': 'h264'}


def smooth_frames(count=5, height=48, width=64):
    """Codecs keep smooth pictures nearly as they are."""
    y, x = np.mgrid[:height, :width]
    for t in range(count):
        levels = (3 * y, 2 * x + 10 * t, np.full_like(x, 60))
        yield np.stack(levels, -1).astype(np.uint8)


def read_back(path):
    reader = mmcv.VideoReader(str(path))
    code = int(reader.fourcc).to_bytes(4, 'little').decode()
    return reader, [mmcv.bgr2rgb(frame) for frame in reader], code


@pytest.mark.parametrize('suffix', ['.mp4', '.mov', '.mkv', '.avi', '.webm'])
def test_round_trip(suffix, tmp_path):
    path = tmp_path / 'new' / f'video{suffix}'
    with VideoWriter(path, fps=10) as writer:
        for frame in smooth_frames():
            writer.write(frame)
    reader, frames, code = read_back(path)
    assert (len(frames), writer.frames) == (5, 5)
    assert reader.fps == pytest.approx(10)
    assert code == FOURCC[writer.codec]
    for got, wanted in zip(frames, smooth_frames()):
        assert np.abs(got.astype(int) - wanted).mean() < 6


def test_without_pyav_opencv_writes(tmp_path, monkeypatch):
    monkeypatch.setattr(video_writer, 'av', None)
    with VideoWriter(tmp_path / 'v.mp4') as writer:
        writer.write(next(smooth_frames()))
    assert writer.codec == 'mp4v'
    assert read_back(tmp_path / 'v.mp4')[2] == 'FMP4'


def test_h264_that_browsers_show(tmp_path):
    av = pytest.importorskip('av')
    with VideoWriter(tmp_path / 'v.mp4', fps=29.97) as writer:
        for frame in smooth_frames():
            writer.write(frame)
    with av.open(str(tmp_path / 'v.mp4')) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == 'h264'
        assert stream.codec_context.pix_fmt == 'yuv420p'
        assert float(stream.average_rate) == pytest.approx(29.97, abs=0.01)
        assert sum(1 for _ in container.decode(stream)) == 5


def test_odd_sizes_are_padded_by_a_pixel(tmp_path):
    with VideoWriter(tmp_path / 'v.mp4') as writer:
        for frame in smooth_frames(height=47, width=63):
            writer.write(frame)
    reader, frames, _ = read_back(tmp_path / 'v.mp4')
    assert reader.resolution == (64, 48)
    wanted = next(smooth_frames(height=47, width=63))
    assert np.abs(frames[0][:47, :63].astype(int) - wanted).mean() < 6


def test_what_was_written_before_an_error_plays(tmp_path):
    with pytest.raises(ZeroDivisionError):
        with VideoWriter(tmp_path / 'v.mp4') as writer:
            for frame in smooth_frames():
                writer.write(frame)
            raise ZeroDivisionError
    assert len(read_back(tmp_path / 'v.mp4')[1]) == 5


def test_errors_name_the_file(tmp_path):
    with pytest.raises(ValueError, match='v.gif has no suffix of a video'):
        VideoWriter(tmp_path / 'v.gif')
    with pytest.raises(ValueError, match='fps'):
        VideoWriter(tmp_path / 'v.mp4', fps=0)
    with VideoWriter(tmp_path / 'v.mp4') as writer:
        writer.write(np.zeros((4, 6, 3), np.uint8))
        with pytest.raises(ValueError, match=r'frame 1 of .*v.mp4'):
            writer.write(np.zeros((4, 8, 3), np.uint8))
    (tmp_path / 'folder.avi').mkdir()
    with pytest.raises(OSError, match='folder.avi'):
        VideoWriter(tmp_path / 'folder.avi').write(
            np.zeros((4, 6, 3), np.uint8)
        )
