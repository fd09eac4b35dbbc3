"""The plots: what is where, and files that can be read back."""

import cv2
import pytest

from hvc_mm.scoreboard import BENCHMARKS
from hvc_mm.scoreboard.plots import (
    Styles,
    draw_plots,
    j_over_time,
    plot_files,
    score_against_time,
    sequence_bars,
)

JHMDB = ('jhmdb', 'JHMDB split 1', 'PCK@0.1')
CURVES = {'x/1': [80.0, 60, 40], 'y/2': [50.0, 50]}


@pytest.fixture
def results(result_of):
    def of(name, score, seconds, curves=(), **others):
        sequences = {'x/1': score, 'y/2': score / 2}
        return result_of(
            *(name, others.pop('protocol', None), score, seconds),
            *(sequences, curves),
            **others,
        )

    return [
        of('a', 70.0, 0.5, CURVES),
        of('b', 40.0, 0.1, {'x/1': [20.0, 10, 0]}),
        of('b', 44.0, 0.2, CURVES, protocol='dino'),
        of('a', 60.0, None, benchmark=JHMDB),
    ]


def _legend(figure):
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def test_score_against_time_puts_each_run_at_its_place(results):
    shown = [
        (BENCHMARKS['davis'], results[:3]),
        (BENCHMARKS['jhmdb'], results[3:]),
    ]
    figure = score_against_time(shown, Styles(results))
    davis, jhmdb = figure.axes
    points = [line.get_xydata().tolist() for line in davis.lines]
    assert points == [[[0.5, 70.0]], [[0.1, 40.0]], [[0.2, 44.0]]]
    colours = [line.get_color() for line in davis.lines]
    assert colours[0] != colours[1] == colours[2]
    assert [line.get_marker() for line in davis.lines] == ['o', 'o', 's']
    assert _legend(figure) == ['a', 'b', 'protocol own', 'protocol dino']
    assert davis.get_ylabel() == 'J&F, percent'
    assert not jhmdb.lines  # its time isn't known


def test_bars_have_a_panel_a_protocol(results):
    styles = Styles(results)
    figure = sequence_bars(BENCHMARKS['davis'], results[:3], styles)
    own, dino = figure.axes
    # The score itself, then its sequences.
    heights = [bar.get_height() for bar in own.patches]
    assert heights == [70, 70, 35, 40, 40, 20]
    assert [bar.get_height() for bar in dino.patches] == [44, 44, 22]
    assert dino.patches[0].get_facecolor() == own.patches[3].get_facecolor()
    labels = [text.get_text() for text in dino.get_xticklabels()]
    assert labels == ['all', 'x/1', 'y/2']
    assert dino.get_title() == 'DAVIS-2017 val, protocol dino'
    assert own.get_ylim() == (0, 100)
    assert _legend(figure) == ['a', 'b']


def test_backbones_of_one_colour_differ_by_hatches(result_of):
    runs = [result_of(f'b{i}', sequences={'x': 9.0}) for i in range(8)]
    figure = sequence_bars(BENCHMARKS['davis'], runs, Styles(runs))
    bars = [bars[0] for bars in figure.axes[0].containers]
    assert bars[0].get_facecolor() == bars[7].get_facecolor()
    assert not bars[0].get_hatch() and bars[7].get_hatch()


def test_j_over_time_has_a_mean_and_a_panel_a_sequence(results):
    figure = j_over_time('J', results[:3], Styles(results))
    panels = [p for p in figure.axes if p.get_visible()]
    titles = [panel.get_title() for panel in panels]
    assert titles == ['mean of 2 sequences', 'x/1', 'y/2']
    assert panels[1].lines[0].get_ydata().tolist() == [80, 60, 40]
    assert panels[1].lines[1].get_ydata().tolist() == [20, 10, 0]
    lines = [line.get_linestyle() for line in panels[1].lines]
    assert lines == ['-', '-', '--']
    mean = panels[0].lines[0].get_ydata()
    assert mean[0] == 65 and mean[-1] == 45
    # A single frame is seen.
    results[0]['curves'] = {'x/1': [80.0]}
    _, panel, *_ = j_over_time('J', results[:1], Styles(results)).axes
    (line,) = panel.lines
    assert line.get_xydata().tolist() == [[1, 80]]
    assert line.get_marker() == 'o'
    assert panel.get_xlim() == (0, 2)


def test_files_are_whole_and_the_same_again(results, tmp_path):
    benchmarks = [BENCHMARKS[name] for name in ('davis', 'jhmdb', 'vip')]
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
    written = {path.name for path in (tmp_path / 'new').glob('[!.]*')}
    assert len(written) == 12 and written < set(plot_files(benchmarks))
    # Text is text, in both.
    svg = (tmp_path / 'new/davis_sequences.svg').read_text()
    assert '>DAVIS-2017 val, protocol dino</text>' in svg
    pdf = (tmp_path / 'new/davis_sequences.pdf').read_bytes()
    assert pdf.startswith(b'%PDF') and b'/FontFile2' in pdf
    draw_plots(benchmarks, results, tmp_path / 'again')
    for name in written:
        first, second = (tmp_path / d / name for d in ('new', 'again'))
        assert first.read_bytes() == second.read_bytes(), name
    assert draw_plots(benchmarks, [], tmp_path) == []
