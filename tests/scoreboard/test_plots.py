"""Plots: what they show, and that they can be read back."""

import cv2
import numpy as np
import pytest

from hvc_mm.scoreboard.benchmarks import BENCHMARKS
from hvc_mm.scoreboard.plots import (
    draw_plots,
    group_sequences,
    j_over_time,
    looks_of,
    mean_curve,
    score_against_time,
    sequence_bars,
)

LOOKS = looks_of(['a', 'b'])


def _result(backbone, benchmark, score, seconds, curves=None):
    headline = BENCHMARKS[benchmark].headline
    return dict(
        backbone=backbone,
        benchmark=benchmark,
        scores={headline: score},
        sequences={'x/1': score, 'y/2': score / 2},
        curves=curves or {},
        seconds_per_frame=seconds,
    )


def _legend(figure):
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


@pytest.fixture
def results():
    curves = {'x/1': [80.0, 60, 40], 'y/2': [50.0, 50]}
    return [
        _result('a', 'davis', 70.0, 0.5, curves),
        _result('b', 'davis', 40.0, 0.1, {'x/1': [20.0, 10, 0]}),
        _result('a', 'jhmdb', 60.0, None),
    ]


def test_score_against_time_puts_each_backbone_at_its_place(results):
    shown = [
        (BENCHMARKS['davis'], results[:2]),
        (BENCHMARKS['jhmdb'], results[2:]),
    ]
    figure = score_against_time(shown, LOOKS)
    davis, jhmdb = figure.axes
    points = [line.get_xydata().tolist() for line in davis.lines]
    assert points == [[[0.5, 70.0]], [[0.1, 40.0]]]
    assert _legend(figure) == ['a', 'b']
    assert davis.get_ylabel() == 'J&F, percent'
    assert not jhmdb.lines  # its time isn't known


def test_bars_per_sequence(results):
    figure = sequence_bars(BENCHMARKS['davis'], results[:2], LOOKS)
    (panel,) = figure.axes
    heights = [bar.get_height() for bar in panel.patches]
    # The score itself, then its sequences.
    assert heights == [70, 70, 35, 40, 40, 20]
    labels = [text.get_text() for text in panel.get_xticklabels()]
    assert labels == ['all', 'x/1', 'y/2']
    assert _legend(figure) == ['a', 'b']


def test_j_over_time_has_a_mean_and_a_panel_a_sequence(results):
    figure = j_over_time(BENCHMARKS['davis'], results[:2], LOOKS)
    panels = figure.axes
    visible = [p for p in panels if p.get_visible()]
    titles = [panel.get_title() for panel in visible]
    assert titles == ['mean of 2 sequences', 'x/1', 'y/2']
    assert visible[1].lines[0].get_ydata().tolist() == [80, 60, 40]
    assert visible[1].lines[1].get_ydata().tolist() == [20, 10, 0]
    mean = visible[0].lines[0].get_ydata()
    assert mean[0] == 65 and mean[-1] == 45
    assert _legend(figure) == ['a', 'b']


def test_a_single_frame_is_seen():
    result = _result('a', 'davis', 70.0, 0.5, {'x/1': [80.0]})
    _, panel, *_ = j_over_time(BENCHMARKS['davis'], [result], LOOKS).axes
    (line,) = panel.lines
    assert line.get_xydata().tolist() == [[1, 80]]
    assert line.get_marker() == LOOKS['a'].marker
    assert panel.get_xlim() == (0, 2)


def test_more_backbones_than_colours_differ():
    looks = looks_of([f'b{i}' for i in range(25)] + ['b0'])
    assert len(looks) == 25
    assert len({(look.colour, look.line) for look in looks.values()}) == 25
    assert len({(look.colour, look.marker) for look in looks.values()}) == 25


def test_mean_over_curves_of_differing_length():
    mean = mean_curve([[0.0, 100.0], [100.0, 50.0, 0.0]])
    assert np.allclose(mean, 50)


def test_many_clips_are_grouped_by_class():
    few = {f'a/{i}': float(i) for i in range(3)}
    assert group_sequences(few) == few
    clips = {f'{"ab"[i % 2]}/{i}': float(i % 2) for i in range(50)}
    assert group_sequences(clips) == {'a': 0.0, 'b': 1.0}
    videos = {f'v{i}': 1.0 for i in range(50)}
    assert list(group_sequences(videos)) == [f'v{i}' for i in range(40)]


def test_files(results, tmp_path):
    benchmarks = [BENCHMARKS['davis'], BENCHMARKS['jhmdb'], BENCHMARKS['vip']]
    drawn = draw_plots(benchmarks, results, tmp_path / 'new')
    names = [name for name, _ in drawn]
    assert sorted(names) == [
        'davis_j_over_time.png',
        'davis_sequences.png',
        'jhmdb_sequences.png',
        'score_against_time.png',
    ]
    for name in names:
        image = cv2.imread(str(tmp_path / 'new' / name))
        assert min(image.shape[:2]) > 200
        assert image.std() > 5
    assert draw_plots(benchmarks, [], tmp_path) == []
