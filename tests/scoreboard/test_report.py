"""The report: Markdown that people read, JSON, page and plots."""

import json

import pandas as pd
import pytest

from hvc_mm.scoreboard import BENCHMARKS, Backbone, Scoreboard, page
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
        backbone=Backbone(backbone, {'model.backbone': {}}).as_dict(),
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
            model={},
            frames={},
            input_size=[240, 432] if benchmark == 'davis' else None,
        ),
        scores=scores,
        sequences={k: {head: v} for k, v in dict(sequences).items()},
        curves=dict(curves),
        pooled=None,
        seconds_per_frame=seconds,
        versions=dict(torch='9', device='a CPU'),
        seed=42,
        key='0123456789ab',
        strips=None,
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
    text = board.as_markdown([('p.png', 'a plot')], 'No page.')
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
        '\n\nNo page.\n\n',
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
    for suffix in ('png', 'svg', 'pdf'):
        assert (tmp_path / f'report/davis_sequences.{suffix}').is_file()


def test_the_page_is_there_or_the_report_says_why_not(
    board, tmp_path, monkeypatch
):
    pytest.importorskip('plotly', reason='the extra `report` is missing')
    for why, said in (
        (None, '[scoreboard.html](scoreboard.html) shows all this'),
        ('there is no page: it needs plotly', 'it needs plotly\n'),
    ):
        monkeypatch.setattr(page, 'missing_for_page', lambda why=why: why)
        out = tmp_path / str(bool(why))
        board.write(out)
        assert (out / 'scoreboard.html').is_file() is (why is None)
        assert said in (out / 'scoreboard.md').read_text()


def test_a_report_without_any_result(board, tmp_path):
    board.results.clear()
    board.write(tmp_path)
    found = json.loads((tmp_path / 'scoreboard.json').read_text())
    assert found['runs'] == [] and len(found['failures']) == 1
    text = (tmp_path / 'scoreboard.md').read_text()
    assert 'random on davis by own: failed, out of memory' in text
