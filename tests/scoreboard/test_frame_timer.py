"""The timer adds up the samples' seconds, every frame but the first."""

import json

import pytest

from hvc_mm.scoreboard.frame_timer import FrameTimer
from hvc_mm.structures import VOSDataSample


def _sample(video, index, length, seconds):
    meta = dict(video=video, frame_index=index, video_length=length)
    meta.update(starts_video=index == 0, seconds=seconds)
    return VOSDataSample(metainfo=meta)


def test_the_timer_keeps_the_time_of_each_video(tmp_path):
    timer = FrameTimer(tmp_path)
    batches = [[('a', 0, 2, 9.0)], [('a', 1, 2, 0.5)], [('c/b', 0, 3, 0.25)]]
    for batch in [*batches, [('c/b', 1, 3, 1.0), ('c/b', 2, 3, 2.0)]]:
        # A video that isn't finished has no file.
        assert not (tmp_path / 'c/b.json').exists()
        samples = [_sample(*frame) for frame in batch]
        timer.after_test_iter(None, 0, None, samples)
    a, b = (
        json.loads((tmp_path / name).read_text())
        for name in ('a.json', 'c/b.json')
    )
    # The very first frame is not counted.
    assert a == dict(frames=1, seconds=0.5)
    assert b == dict(frames=3, seconds=pytest.approx(3.25))
