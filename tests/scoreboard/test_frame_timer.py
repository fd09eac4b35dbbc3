"""Seconds per frame: of the model alone, video by video."""

import json
import time
from types import SimpleNamespace

import pytest
from torch import nn

from hvc_mm.scoreboard.frame_timer import FrameTimer
from hvc_mm.structures import VOSDataSample


class _Slow(nn.Module):
    def forward(self):
        time.sleep(0.02)


def _sample(video, index, length):
    return VOSDataSample(
        metainfo=dict(
            video=video,
            frame_index=index,
            video_length=length,
            starts_video=index == 0,
        )
    )


def _read(path):
    return json.loads(path.read_text())


def test_times_the_model_and_nothing_else(tmp_path):
    timer = FrameTimer(tmp_path)
    model = _Slow()
    runner = SimpleNamespace(model=model)
    timer.before_test(runner)
    frames = [('a', 0, 2), ('a', 1, 2), ('c/b', 0, 3), ('c/b', 1, 3)]
    for number, frame in enumerate([*frames, ('c/b', 2, 3)]):
        model()
        time.sleep(0.05)  # scoring, say
        timer.after_test_iter(runner, number, None, [_sample(*frame)])
        # A video that isn't finished has no file.
        assert (tmp_path / 'a.json').is_file() is (number > 0)
    timer.after_test(runner)
    # The very first frame is not counted.
    first, second = _read(tmp_path / 'a.json'), _read(tmp_path / 'c/b.json')
    assert (first['frames'], second['frames']) == (1, 3)
    for part in (first, second):
        assert 0.02 <= part['seconds'] / part['frames'] < 0.05
    assert not model._forward_hooks and not model._forward_pre_hooks


def test_frames_of_a_batch_share_its_time(tmp_path):
    timer = FrameTimer(tmp_path)
    timer._warm, timer._last = True, 4.0
    batch = [_sample('a', 0, 1), *(_sample('b', i, 3) for i in range(3))]
    timer.after_test_iter(None, 0, None, batch)
    assert _read(tmp_path / 'a.json') == dict(frames=1, seconds=1.0)
    assert _read(tmp_path / 'b.json')['seconds'] == pytest.approx(3.0)
