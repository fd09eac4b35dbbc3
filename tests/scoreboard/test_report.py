"""The report: Markdown that people read, JSON that programs do."""

import json

import pytest

from hvc_mm.scoreboard.benchmarks import BENCHMARKS
from hvc_mm.scoreboard.candidate import Candidate
from hvc_mm.scoreboard.report import Scoreboard

SHA = 'abcdef0123456789'


def _result(backbone, benchmark, scores, seconds):
    return dict(
        backbone=backbone,
        benchmark=benchmark,
        scores=scores,
        sequences={f'video{i}': 10.0 + i for i in range(42)},
        curves={},
        seconds_per_frame=seconds,
        protocol='LabelPropagator(radius=12)',
        counts=dict(videos=4, frames=236),
        whole=dict(videos=30, frames=1999),
        ran_with='torch 9, on cpu',
        seed=42,
    )


@pytest.fixture
def board():
    candidates = [
        Candidate(
            'hvc',
            dict(type='HVCResNet'),
            weights={'epoch_20.pth': SHA},
            title='ResNet-18, layer3',
            channels=256,
            stride=8.0,
            parameters=2_780_000,
        ),
        Candidate('random', dict(type='HVCResNet'), title='HVCResNet'),
    ]
    board = Scoreboard(candidates, [BENCHMARKS['davis'], BENCHMARKS['vip']])
    scores = {'J&F': 61.23, 'J': 60.0, 'F': 62.46}
    board.results['hvc', 'davis'] = _result('hvc', 'davis', scores, 0.1234)
    board.failures['random', 'davis'] = 'out of memory'
    board.skipped['jhmdb'] = 'there is no folder JHMDB'
    board.input_size = (240, 432)
    return board


def test_overview(board):
    rows = board.overview().splitlines()
    assert rows[0] == (
        '| backbone | DAVIS-2017 val: J&F | s/frame | VIP val: mIoU '
        '| s/frame |'
    )
    assert rows[2] == '| hvc | 61.2 | 0.123 | - | - |'
    assert rows[3] == '| random | - | - | - | - |'


def test_markdown(board):
    text = board.as_markdown([('p.png', 'a plot')])
    assert '- jhmdb: skipped, there is no folder JHMDB' in text
    assert '- random on davis: failed, out of memory' in text
    assert '4 of 30 videos, 236 of 1999 frames at 240x432' in text
    assert 'LabelPropagator(radius=12).' in text
    assert '| --- | --- | ---: | ---: | ---: | --- |' in text
    assert '| hvc | 61.2 | 60.0 | 62.5 | 0.123 |' in text
    # Forty sequences at most.
    assert '| video39 | 49.0 |' in text and '| video40 |' not in text
    assert '2 more are in scoreboard.json' in text
    assert '## VIP val' not in text
    assert '![a plot](p.png)' in text
    assert '`epoch_20.pth` (sha256 abcdef01)' in text
    assert '| random | HVCResNet | 0 | 0 | 0.0 M | random |' in text
    assert 'Seed 42. torch 9, on cpu.' in text


def test_tables_stand_on_their_own(board):
    """A table needs an empty line before it, and none inside."""
    lines = board.as_markdown().splitlines()
    heads = [i for i, line in enumerate(lines) if line.startswith('| ---')]
    assert len(heads) == 4
    for i in heads:
        assert lines[i - 1].startswith('| ') and lines[i - 2] == ''
    for before, after in zip(lines, lines[1:]):
        assert not (before.startswith('|') and after.startswith('-'))


def test_files(board, tmp_path):
    board.write(tmp_path / 'report')
    found = json.loads((tmp_path / 'report/scoreboard.json').read_text())
    assert found['backbones']['hvc']['weights_sha256'] == {'epoch_20.pth': SHA}
    (result,) = found['results']
    assert result['sequences']['video41'] == 51.0
    assert found['failures'] == [
        dict(backbone='random', benchmark='davis', why='out of memory')
    ]
    assert found['skipped'] == board.skipped
    text = (tmp_path / 'report/scoreboard.md').read_text()
    assert '(davis_sequences.png)' in text
    assert (tmp_path / 'report/davis_sequences.png').is_file()
