"""Progress and confidence in words and lines."""

import re

import numpy as np

from hvc_mm.web.page_texts import confidence_text, progress_text
from hvc_mm.web.video_work import Step


def test_progress_and_time_left():
    text = progress_text('Propagating', Step(3, 12, 70.2))
    assert 'max="12" value="3"' in text
    assert text.endswith('Propagating: 3 of 12 frames, about 1 min 10 s left')
    assert progress_text('A', Step(3, 12, 9.6)).endswith('about 10 s left')
    assert progress_text('Read', Step(12, 12)).endswith('12 of 12 frames')


def test_confidence_over_time(work, moving_square):
    assert 'confidence: - ' in confidence_text(work, 0)
    work.edit(2, moving_square[1][2])
    work.names[1] = '<b>'
    for step in work.propagate():
        if step.count == 7:
            break
    text = confidence_text(work, 4)
    assert f'&lt;b&gt; {work.confidence[4][1]:.2f} ' in text
    assert 'masks given on frames: 2 ' in text
    assert 'up to date: 7 of 8 frames' in text
    (path,) = re.findall(r'<path d="(.*?)"', text)
    points = re.findall(r'([ML])([\d.]+) ([\d.]+)', path)
    # From its first frame on, without a gap.
    assert ''.join(kind for kind, _, _ in points) == 'MLLLL'
    expected = [(600 * t / 7, work.confidence[t][1]) for t in range(2, 7)]
    for (_, x, y), (at, value) in zip(points, expected):
        np.testing.assert_allclose(float(x), at, atol=0.06)
        np.testing.assert_allclose(float(y), 60 * (1 - value), atol=0.06)
    lines = re.findall(r'<line x1="([\d.]+)".*?stroke="(.*?)"', text)
    assert lines == [('171.4', '#888'), ('342.9', 'red')]
