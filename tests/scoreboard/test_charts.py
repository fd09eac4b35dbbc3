"""The page's charts: their numbers, one colour a backbone, legends."""

import pytest

from hvc_mm.scoreboard.series import styles_of

pytest.importorskip('plotly', reason='the extra `report` is not installed')

CURVES = {'x': [80.0, 60, 40], 'y': [50.0, 50]}
PROTOCOLS = ['own', 'dino']


@pytest.fixture
def charts(result_of):
    """Two backbones by two protocols, one with a single curve."""
    from hvc_mm.scoreboard.charts import Charts

    values = {'x': 70.0, 'y': 35.0}
    low = {'x': 20.0, 'y': 34.0}
    runs = [
        result_of('<a>', None, 60.0, 0.5, values, CURVES),
        result_of('b', None, 27.0, 0.1, low, {'x': [20.0]}),
        result_of('<a>', 'dino', 61.0, 1.5, values, CURVES),
        result_of('b', 'dino', 28.0, None, low, CURVES),
    ]
    return Charts(runs, styles_of(['<a>', 'b']), PROTOCOLS)


def _legend(figure):
    return [trace.name for trace in figure.data if trace.showlegend]


def test_score_against_time(charts):
    figure = charts.score_against_time()
    points = [(t.name, t.x[0], t.y[0]) for t in figure.data[:3]]
    # One without a time has no place.
    assert points == [
        ('&lt;a&gt;', 0.5, 60.0),
        ('b', 0.1, 27.0),
        ('&lt;a&gt;', 1.5, 61.0),
    ]
    symbols = [trace.marker.symbol for trace in figure.data]
    assert symbols[0] == symbols[1] != symbols[2]
    assert _legend(figure) == [
        *('&lt;a&gt;', 'b', 'protocol own', 'protocol dino')
    ]
    assert [trace.marker.symbol for trace in figure.data[3:]] == symbols[1:3]
    assert figure.layout.xaxis.title.text == 'seconds a frame'
    assert figure.layout.yaxis.title.text == 'J&amp;F, percent'


def test_bars_have_a_panel_a_protocol(charts):
    figure = charts.sequence_bars()
    # Where the backbones differ most comes first, after the score itself.
    assert [bar.x for bar in figure.data] == [('all', 'x', 'y')] * 4
    assert [bar.y for bar in figure.data] == [
        (60.0, 70.0, 35.0),
        (27.0, 20.0, 34.0),
        (61.0, 70.0, 35.0),
        (28.0, 20.0, 34.0),
    ]
    assert [bar.yaxis for bar in figure.data] == ['y', 'y', 'y2', 'y2']
    titles = [each.text for each in figure.layout.annotations]
    assert titles == ['protocol own', 'protocol dino']
    assert _legend(figure) == ['&lt;a&gt;', 'b']


def test_j_over_time(charts):
    mean = charts.mean_j_over_time()
    assert (mean.data[0].y[0], mean.data[0].y[-1]) == (65.0, 45.0)
    assert mean.data[0].x[-1] == 100
    video = charts.j_of_video('x')
    assert video.data[0].y == (80.0, 60.0, 40.0)
    assert video.data[0].x == (1, 2, 3)
    # A single frame is no line.
    assert [trace.mode for trace in video.data[:2]] == ['lines', 'markers']
    assert len(charts.j_of_video('y').data) == 3 + 2
    dashes = [trace.line.dash for trace in video.data[:4]]
    assert dashes == ['solid', 'solid', 'dash', 'dash']


def test_a_backbone_has_one_colour_everywhere(charts):
    colours = {}
    for figure in (
        charts.score_against_time(),
        charts.sequence_bars(),
        charts.mean_j_over_time(),
        charts.j_of_video('x'),
    ):
        assert figure.layout.height
        for trace in figure.data:
            part = trace.marker if trace.type == 'bar' else trace.line
            if trace.type == 'scatter' and trace.mode == 'markers':
                part = trace.marker
            colours.setdefault(trace.name, set()).add(part.color)
    assert all(len(seen) == 1 for seen in colours.values())
    assert colours['b'] != colours['&lt;a&gt;']
    # One protocol needs no explanation.
    charts.runs = charts.runs[:2]
    assert _legend(charts.j_of_video('x')) == ['&lt;a&gt;', 'b']
