"""The timer counts the model's seconds, and every frame but the first."""

import json
import time
from types import SimpleNamespace

from torch import nn

from hvc_mm.scoreboard.frame_timer import FrameTimer
from hvc_mm.structures import VOSDataSample


class _Slow(nn.Module):
    def forward(self):
        time.sleep(0.02)


def _sample(video, index, length):
    meta = dict(video=video, frame_index=index, video_length=length)
    return VOSDataSample(metainfo=dict(meta, starts_video=index == 0))


def test_the_timer_times_the_model_and_nothing_else(tmp_path):
    timer = FrameTimer(tmp_path)
    runner = SimpleNamespace(model=_Slow())
    timer.before_test(runner)
    # The last batch holds two frames, which share its time.
    batches = [[('a', 0, 2)], [('a', 1, 2)], [('c/b', 0, 3)]]
    for batch in [*batches, [('c/b', 1, 3), ('c/b', 2, 3)]]:
        runner.model()
        time.sleep(0.05)  # scoring, say
        samples = [_sample(*frame) for frame in batch]
        # A video that isn't finished has no file.
        assert not (tmp_path / 'c/b.json').exists()
        timer.after_test_iter(runner, 0, None, samples)
    a, b = (
        json.loads((tmp_path / name).read_text())
        for name in ('a.json', 'c/b.json')
    )
    # The very first frame is not counted.
    assert (a['frames'], b['frames']) == (1, 3)
    assert 0.02 <= a['seconds'] < 0.05
    assert 0.04 <= b['seconds'] < 0.1
