"""Tables: intervals, differences, published scores; CSV and LaTeX."""

import io
import re

import pandas as pd
import pytest

from hvc_mm.scoreboard import BENCHMARKS
from hvc_mm.scoreboard.published import Published, read_published
from hvc_mm.scoreboard.tables import (
    as_latex,
    differences_table,
    published_table,
    runs_table,
    scores_table,
)
from hvc_mm.utils.protocols import list_protocols


def run(backbone, figures, protocol=None, fingerprint='0'):
    """A run of DAVIS with one object a video."""
    scores = {'J&F': sum(figures) / len(figures), 'J': 1.0, 'F': 2.0}
    videos = {
        f'v{i}': dict(
            numerators={'J&F': [f], 'J': [1.0], 'F': [2.0]}, denominators=[1]
        )
        for i, f in enumerate(figures)
    }
    return dict(
        backbone=dict(name=backbone),
        benchmark=dict(
            name='davis',
            title='DAVIS-2017 val',
            headline='J&F',
            counts=dict(videos=len(figures), frames=50),
            whole=dict(videos=30),
            fingerprint=fingerprint,
        ),
        protocol=dict(name=protocol, text=str(protocol), input_size=[96, 160]),
        scores=scores,
        pooled=dict(of_nothing=None, videos=videos),
        seconds_per_frame=0.25,
        key='0123',
    )


@pytest.fixture
def runs():
    return [
        run('good', [80.0, 90.0, 70.0]),
        run('poor', [70.0, 75.0, 65.0]),
        run('good', [60.0, 50.0, 70.0], 'dino'),
        run('other', [60.0, 50.0, 70.0], 'dino', fingerprint='1'),
    ]


PUBLISHED = [
    Published('CRW', 'davis', 'crw', {'J&F': 67.6}, 'arXiv:2006.14613'),
    Published('HVC', 'vip', None, {'mIoU': 44.6}, 'arXiv:2404.13505'),
]


def test_every_score_is_listed_with_its_interval_and_source(runs):
    table = scores_table(runs, PUBLISHED)
    read = pd.read_csv(io.StringIO(table.to_csv(index=False)))
    assert len(read) == 4 * 3 + 1
    first = read.iloc[0]
    assert (first.backbone, first.protocol, first.score) == (
        'good',
        'own',
        'J&F',
    )
    assert first.value == 80 and 70 <= first.low < 80 < first.high <= 90
    assert first.input_size == '96x160' and first.source == 'measured'
    assert ',3,50,' in table.to_csv(index=False)  # no decimals
    last = read.iloc[-1]
    assert last.source == 'published: arXiv:2006.14613' and last.value == 67.6
    assert pd.isna(last.low)


def test_differences_are_of_pairs_that_can_be_compared(runs):
    table = differences_table(runs)
    (row,) = table.itertuples()
    assert (row.backbone, row.minus, row.protocol) == ('good', 'poor', 'own')
    assert row.value == 10 and 5 <= row.low < 10 < row.high <= 15
    # Without any pair there are heads all the same.
    assert list(differences_table(runs[:1]).columns) == list(table.columns)


def test_the_table_of_a_protocol(runs):
    table = runs_table(runs[:2])
    assert list(table.columns) == [
        'J&F',
        '95% interval',
        'to the best',
        'J',
        'F',
        's/frame',
    ]
    assert table.loc['good', 'to the best'] == '-'
    assert re.fullmatch(
        r'-10\.0 \(-1\d\.\d to -\d\.\d\)', table.loc['poor', 'to the best']
    )
    assert table.loc['good', '95% interval'] == '70.0 to 90.0'
    assert 'to the best' not in runs_table(runs[:1])
    # Of other data: nothing to subtract.
    assert list(runs_table(runs[2:])['to the best']) == ['-', '-']


def test_published_scores_of_a_benchmark():
    table = published_table(PUBLISHED, 'davis')
    assert table.loc['CRW'].to_dict() == {
        'protocol': 'crw',
        'J&F': 67.6,
        'source': 'arXiv:2006.14613',
    }
    assert (
        published_table(PUBLISHED, 'vip').loc['HVC', 'protocol'] == 'not known'
    )
    assert published_table(PUBLISHED, 'jhmdb') is None


def test_latex(runs):
    text = as_latex(runs, PUBLISHED)
    assert text.count('\\begin{tabular}') == 1
    for line in (
        r'good & own at 96x160 & 80.0 & 70.0 to 90.0 & 1.0 & 2.0 & 0.250 \\',
        r'CRW (published) & crw & 67.6 & - & - & - & - \\',
    ):
        assert line in text
    assert r'\caption{DAVIS-2017 val: 3 of 30 videos, 50 frames. Pub' in text
    assert 'not measured here: CRW: arXiv:2006.14613.}' in text
    assert r'J\&F' in text and '%' not in text.replace(r'\%', '')
    # At the protocol's own size nothing is added.
    runs[0]['protocol']['input_size'] = None
    assert r'good & own & 80.0' in as_latex(runs, [])


def test_the_published_scores_of_the_repository():
    found = read_published()
    assert len(found) >= 6
    protocols = {None, *list_protocols()}
    for entry in found:
        assert entry.protocol in protocols
        assert set(entry.scores) <= set(BENCHMARKS[entry.benchmark].scores)
        assert all(0 < value < 100 for value in entry.scores.values())
        assert 'arXiv:' in entry.source
    (hvc,) = [e for e in found if e.scores == {'J&F': 73.1}]
    assert (hvc.benchmark, hvc.protocol) == ('davis', 'hvc')


@pytest.mark.parametrize(
    'text, message',
    [
        ('published: 1', 'published is 1; expected a list'),
        ('published: [{backbone: a}]', 'entry 1: benchmark is None'),
        ('published: [{score: 1}]', r"entry 1 has \['score'\]; expected back"),
        ('a: [', 'published.yml'),
    ],
)
def test_odd_published_scores_are_refused(tmp_path, text, message):
    path = tmp_path / 'published.yml'
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_published(path)
