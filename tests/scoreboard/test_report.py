"""The report: Markdown that people read, JSON and plots."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest

from hvc_mm.scoreboard import BENCHMARKS, Backbone, Scoreboard
from hvc_mm.scoreboard.plots import (
    draw_plots,
    group_sequences,
    j_over_time,
    mean_curve,
    score_against_time,
    sequence_bars,
    styles_of,
)
from hvc_mm.scoreboard.published import Published
from hvc_mm.scoreboard.tables import markdown_table
from hvc_mm.utils.outputs import claim_file

SHA = 'abcdef0123456789'
PUBLISHED = Published('HVC', 'davis', 'hvc', {'J&F': 73.1}, 'arXiv:2404.13505')


def result(
    backbone,
    benchmark,
    scores,
    seconds,
    sequences=(),
    curves=(),
    protocol=None,
):
    head = BENCHMARKS[benchmark].headline
    return dict(
        backbone=dict(name=backbone),
        benchmark=dict(
            name=benchmark,
            title=BENCHMARKS[benchmark].title,
            headline=head,
            fingerprint='0',
            counts=dict(videos=4, frames=236),
            whole=dict(videos=30, frames=1999),
        ),
        protocol=dict(
            name=protocol,
            text='LabelPropagator(radius=12)',
            input_size=[240, 432] if benchmark == 'davis' else None,
        ),
        scores=scores,
        sequences={k: {head: v} for k, v in dict(sequences).items()},
        curves=dict(curves),
        pooled=None,
        key='0123',
        seconds_per_frame=seconds,
        versions=dict(torch='9', device='a CPU'),
        seed=42,
    )


@pytest.fixture
def board():
    known = dict(channels=256, stride=8.0, parameters=2_780_000)
    own = {'model.backbone': dict(type='HVCResNet', _delete_=True)}
    hvc = Backbone('hvc', own, title='ResNet-18', **known)
    hvc.weights = {'epoch_20.pth': SHA}
    other = Backbone('random', own, title='HVCResNet')
    benchmarks = [BENCHMARKS['davis'], BENCHMARKS['vip']]
    board = Scoreboard([hvc, other], benchmarks, published=[PUBLISHED])
    board.results['hvc', 'davis', None] = result(
        *('hvc', 'davis', {'J&F': 61.23, 'J': 60.0, 'F': 62.46}, 0.1234),
        {f'video{i}': 10.0 + i for i in range(42)},
    )
    board.failures['random', 'davis', None] = 'out of memory'
    board.warnings['hvc', 'davis', None] = 'the window is wide'
    board.skipped.append(
        dict(benchmark='jhmdb', why='there is no folder JHMDB')
    )
    return board


def test_overview(board):
    rows = board.overview().splitlines()
    assert rows[0] == (
        '| backbone | protocol | DAVIS-2017 val: J&F | s/frame '
        '| VIP val: mIoU | s/frame |'
    )
    assert rows[2] == '| hvc | own | 61.2 | 0.123 | - | - |'
    assert rows[3] == '| random | own | - | - | - | - |'
    # A row each for what was scored, or failed.
    board.protocols = ['crw_jhmdb', 'dino', None]
    board.results['hvc', 'davis', 'dino'] = result(
        'hvc', 'davis', {'J&F': 50.0}, None, protocol='dino'
    )
    rows = board.overview().splitlines()[2:]
    assert rows[0] == '| hvc | dino | 50.0 | - | - | - |'
    assert rows[1].startswith('| hvc | own | 61.2')
    assert rows[2:] == ['| random | own | - | - | - | - |']
    board.results.clear()
    assert board.overview().splitlines()[2:] == rows[2:]


def test_markdown(board):
    text = board.as_markdown([('p.png', 'a plot')])
    for part in (
        '- jhmdb: skipped, there is no folder JHMDB',
        '- random on davis by own: failed, out of memory',
        '- hvc on davis by own: the window is wide',
        "### Protocol: the config's own",
        '4 of 30 videos, 236 of 1999 frames at 240x432 (height x width)',
        'LabelPropagator(radius=12).',
        '| --- | --- | ---: | ---: | ---: | --- |',
        '| hvc | 61.2 | - | 60.0 | 62.5 | 0.123 |',
        '| HVC | hvc | 73.1 | arXiv:2404.13505 |',
        '| video39 | 49.0 |',
        '2 more are in scoreboard.json',  # forty sequences at most
        '![a plot](p.png)',
        '`epoch_20.pth` (sha256 abcdef01)',
        '| random | HVCResNet | 0 | 0 | 0.0 M | random |',
        'Seed 42. torch 9, device a CPU.',
    ):
        assert part in text
    assert '## VIP val' not in text and '| video40 |' not in text
    # A table needs an empty line before it, and none inside.
    lines = text.splitlines()
    heads = [i for i, line in enumerate(lines) if line.startswith('| ---')]
    assert len(heads) == 5
    for i in heads:
        assert lines[i - 1].startswith('| ') and lines[i - 2] == ''
    for before, after in zip(lines, lines[1:]):
        assert not (before.startswith('|') and after.startswith('-'))


def test_what_is_missing_in_a_table_is_a_dash():
    table = pd.DataFrame(
        {'J': [1.26, None], 's/frame': [0.1234, 2.0]}, ['a', 'b']
    )
    assert markdown_table(table, 'name').splitlines() == [
        '| name | J | s/frame |',
        '| --- | ---: | ---: |',
        '| a | 1.3 | 0.123 |',
        '| b | - | 2.000 |',
    ]


def test_files(board, tmp_path):
    for _ in range(2):  # a report grows: its own files are replaced
        for path in board.files(tmp_path / 'report'):
            claim_file(path)
        board.write(tmp_path / 'report')
    written = set((tmp_path / 'report').glob('[!.]*'))
    assert written < set(board.files(tmp_path / 'report'))
    found = json.loads((tmp_path / 'report/scoreboard.json').read_text())
    own = board.backbones[0].as_dict()
    assert own['weights'] == {'epoch_20.pth': SHA}
    assert own['config'] == dict(type='HVCResNet') and own['stride'] == 8
    assert found['format'] == 2
    assert found['runs'][0]['sequences']['video41'] == {'J&F': 51.0}
    names = dict(backbone='random', benchmark='davis', protocol=None)
    assert found['failures'] == [dict(names, why='out of memory')]
    assert found['warnings'][0]['why'] == 'the window is wide'
    assert found['skipped'] == board.skipped
    text = (tmp_path / 'report/scoreboard.md').read_text()
    assert '(davis_sequences.png)' in text
    assert (tmp_path / 'report/davis_sequences.png').is_file()


STYLES = styles_of(['a', 'b'])


def _row(backbone, benchmark, score, seconds, curves=()):
    head = BENCHMARKS[benchmark].headline
    sequences = {'x/1': score, 'y/2': score / 2}
    scores = {head: score}
    return result(backbone, benchmark, scores, seconds, sequences, curves)


@pytest.fixture
def results():
    curves = {'x/1': [80.0, 60, 40], 'y/2': [50.0, 50]}
    return [
        _row('a', 'davis', 70.0, 0.5, curves),
        _row('b', 'davis', 40.0, 0.1, {'x/1': [20.0, 10, 0]}),
        _row('a', 'jhmdb', 60.0, None),
    ]


def test_score_against_time_puts_each_backbone_at_its_place(results):
    shown = [
        (BENCHMARKS['davis'], results[:2]),
        (BENCHMARKS['jhmdb'], results[2:]),
    ]
    davis, jhmdb = score_against_time(shown, STYLES).axes
    points = [line.get_xydata().tolist() for line in davis.lines]
    assert points == [[[0.5, 70.0]], [[0.1, 40.0]]]
    assert [line.get_label() for line in davis.lines] == ['a', 'b']
    assert davis.get_ylabel() == 'J&F, percent'
    assert not jhmdb.lines  # its time isn't known


def test_bars_per_sequence(results):
    figure = sequence_bars(BENCHMARKS['davis'], results[:2], STYLES)
    (panel,) = figure.axes
    heights = [bar.get_height() for bar in panel.patches]
    # The score itself, then its sequences.
    assert heights == [70, 70, 35, 40, 40, 20]
    labels = [text.get_text() for text in panel.get_xticklabels()]
    assert labels == ['all', 'x/1', 'y/2']
    colours = [bars[0].get_facecolor()[:3] for bars in panel.containers]
    assert colours == [STYLES[name]['color'] for name in 'ab']
    assert panel.get_ylim() == (0, 100)


def test_j_over_time_has_a_mean_and_a_panel_a_sequence(results):
    figure = j_over_time('J', results[:2], STYLES)
    panels = [p for p in figure.axes if p.get_visible()]
    titles = [panel.get_title() for panel in panels]
    assert titles == ['mean of 2 sequences', 'x/1', 'y/2']
    assert panels[1].lines[0].get_ydata().tolist() == [80, 60, 40]
    assert panels[1].lines[1].get_ydata().tolist() == [20, 10, 0]
    mean = panels[0].lines[0].get_ydata()
    assert mean[0] == 65 and mean[-1] == 45
    # A single frame is seen.
    single = _row('a', 'davis', 70.0, 0.5, {'x/1': [80.0]})
    _, panel, *_ = j_over_time('J', [single], STYLES).axes
    (line,) = panel.lines
    assert line.get_xydata().tolist() == [[1, 80]]
    assert line.get_marker() == STYLES['a']['marker']
    assert panel.get_xlim() == (0, 2)


def test_more_backbones_than_colours_differ():
    styles = styles_of([f'b{i}' for i in range(45)] + ['b0'])
    assert len(styles) == 45
    for key in ('linestyle', 'marker'):
        first = list(styles.values())[:25]
        assert len({(style['color'], style[key]) for style in first}) == 25


def test_curves_of_differing_length_and_many_clips():
    mean = mean_curve([[0.0, 100.0], [100.0, 50.0, 0.0]])
    assert np.allclose(mean, 50)
    few = {f'a/{i}': float(i) for i in range(3)}
    assert group_sequences(few) == few
    clips = {f'{"ab"[i % 2]}/{i}': float(i % 2) for i in range(50)}
    assert group_sequences(clips) == {'a': 0.0, 'b': 1.0}
    videos = {f'v{i}': 1.0 for i in range(50)}
    assert list(group_sequences(videos)) == [f'v{i}' for i in range(40)]


def test_plots_can_be_read_back(results, tmp_path):
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
    assert draw_plots(benchmarks, [], tmp_path) == []
