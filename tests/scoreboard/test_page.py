"""The page: what it says, what it embeds, that it needs nothing else."""

import base64
import re
import sys
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from hvc_mm.scoreboard import page
from hvc_mm.scoreboard.page import render_page, write_page
from hvc_mm.scoreboard.published import Published

CURVES = {'x': [80.0, 60, 40], 'y': [50.0, 50]}
# What HTML, a script and plotly each take for something else.
HOSTILE = '</script><script>alert("1")</script><b>&amp;'
needs_extra = pytest.mark.skipif(
    bool(page.missing_for_page()),
    reason='the extra `report` is not installed',
)


@pytest.fixture
def report(result_of):
    few, more = {'x': 70.0, 'y': 35.0}, {'x': 71.0, 'y': 65.0}
    return {
        'format': 2,
        'runs': [
            result_of('first', None, 52.54, 0.5, few, CURVES),
            result_of('second', None, 68.0, 0.1234, more, CURVES),
            result_of('first', 'dino', 53.0, None, few, CURVES),
        ],
        'failures': [
            dict(backbone='b', benchmark='vip', protocol=None, why='<oh>')
        ],
        'skipped': [dict(benchmark='jhmdb', why='there is no folder J')],
        'warnings': [
            dict(backbone='c', benchmark='vip', protocol='p', why='too wide')
        ],
    }


@pytest.fixture
def runs_dir(report, tmp_path):
    """Strips of the first two runs; the grey says which."""
    for level, run in zip((50, 100), report['runs']):
        folder = tmp_path / 'runs' / run['backbone']['name'] / 'davis/own'
        for kind, more in (('strips', 0), ('ground_truth', 100)):
            for video in 'xy':
                path = folder / run['key'] / kind / f'{video}.jpg'
                path.parent.mkdir(parents=True, exist_ok=True)
                picture = np.full((8, 48, 3), level + more, np.uint8)
                cv2.imwrite(str(path), picture)
    return tmp_path / 'runs'


class _Page(HTMLParser):
    """The elements of a page, and the text of its tables' rows."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.rows, self._open = [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag == 'tr':
            self.rows.append([])
        self._open = tag in ('td', 'th') or self._open and tag != 'tr'
        if tag in ('td', 'th'):
            self.rows[-1].append('')

    def handle_endtag(self, tag):
        if tag in ('td', 'th'):
            self._open = False

    def handle_data(self, data):
        if self._open:
            self.rows[-1][-1] += data

    def all(self, tag):
        return [own for name, own in self.elements if name == tag]


@needs_extra
def test_tables_and_texts(report, tmp_path):
    report['runs'][2]['protocol']['input_size'] = [240, 432]
    text = render_page(report, tmp_path)
    rows = _Page(text).rows
    assert ['protocol own'] in rows
    assert ['protocol dino, frames at 240x432 (height x width)'] in rows
    assert ['first', '52.5', '-', '-', '0.500'] in rows
    assert ['second', '68.0 (best)', '-', '-', '0.123'] in rows
    # Alone under its protocol: nothing to be the best of.
    assert ['first', '53.0', '-', '-', '-'] in rows
    assert ['x', '70.0', '71.0', '70.0'] in rows
    assert ['model.data_preprocessor.mean', '[0.5, 1, 2]'] in rows
    assert ['frames.short_side', '480'] in rows
    for part in (
        '4 of 30 videos, 236 of 1999 frames',
        'LabelPropagator(radius=11)',
        'LabelPropagator(radius=12)',
        'abcdef0123456789' * 4,
        'b on vip, protocol own: failed. &lt;oh&gt;',
        'jhmdb: skipped. there is no folder J',
        'c on vip, protocol p: too wide',
        'hvc_mm 0.2.0, device EPYC, threads 2',
    ):
        assert part in text


@needs_extra
def test_intervals_and_published_scores(report, tmp_path):
    for run in report['runs'][:2]:
        videos = {
            name: {
                'numerators': {'J&F': [scores['J&F']]},
                'denominators': [1],
            }
            for name, scores in run['sequences'].items()
        }
        run['pooled'] = {'videos': videos, 'of_nothing': None}
    published = [
        Published('theirs', 'davis', 'hvc', {'J&F': 73.1}, 'arXiv:1 <2>'),
        Published('others', 'vip', None, {'mIoU': 44.6}, 'arXiv:3'),
    ]
    rows = _Page(render_page(report, tmp_path, published)).rows
    apart = '-15.5 (-30.0 to -1.0)'
    assert ['first', '52.5', '35.0 to 70.0', apart, '0.500'] in rows
    assert ['theirs', 'hvc', '73.1', 'arXiv:1 <2>'] in rows
    # It is of a benchmark that isn't here.
    assert not any('others' in row for row in rows)


@needs_extra
def test_strips_are_embedded_where_backbones_differ_first(report, runs_dir):
    text = render_page(report, runs_dir)
    assert re.findall(
        r'<summary><b>(\w)</b> .*?differs by ([\d.]+)', text
    ) == [
        ('y', '30.0'),
        ('x', '1.0'),
    ]
    levels = []
    for image in _Page(text).all('img'):
        kind, content = image['src'].split(',')
        assert kind == 'data:image/jpeg;base64'
        data = np.frombuffer(base64.b64decode(content), np.uint8)
        levels.append(round(cv2.imdecode(data, 1).mean()))
        assert f'frames of {"yyyxxx"[len(levels) - 1]}' in image['alt']
    # The ground truth once, then each run; the third one has no strips.
    assert levels == [150, 50, 100] * 2
    assert text.count('no strip') == 2
    # A report of somebody else's reads no other files.
    (runs_dir.parent / 'private.jpg').write_bytes(b'private')
    report['runs'][0]['strips'] = '../../../../..'
    for run in report['runs']:
        run['sequences']['private'] = run['sequences']['x']
    assert base64.b64encode(b'private').decode() not in render_page(
        report, runs_dir
    )


@needs_extra
def test_names_are_text_wherever_they_are(report, tmp_path):
    clean = _Page(render_page(report, tmp_path))
    for run in report['runs']:
        run['backbone'].update(name=f'{HOSTILE} {run["backbone"]["name"]}')
        run['backbone'].update(title=HOSTILE, weights={HOSTILE: HOSTILE})
        run['protocol'].update(text=HOSTILE)
        for part in ('sequences', 'curves'):
            run[part][HOSTILE] = run[part].pop('x')
    report['failures'][0]['why'] = HOSTILE
    text = render_page(report, tmp_path)
    found = _Page(text)
    # What would have been markup adds no element.
    assert [tag for tag, _ in found.elements] == [
        tag for tag, _ in clean.elements
    ]
    assert any(f'{HOSTILE} second' in row[0] for row in found.rows)
    assert '<script>alert' not in text


@needs_extra
def test_it_is_one_file_that_loads_nothing(report, runs_dir, tmp_path):
    path = tmp_path / 'out/scoreboard.html'
    for _ in range(2):  # with every run
        assert write_page(path, report, runs_dir) is None
    text = path.read_text('utf-8')
    assert text.count('* plotly.js v') == 1
    found = _Page(text)
    assert not found.all('link') and not found.all('iframe')
    for _, attributes in found.elements:
        for key in ('src', 'href', 'srcset', 'action'):
            value = attributes.get(key, '#')
            assert value.startswith(('#', 'data:image/jpeg')), value
    (policy,) = (m for m in found.all('meta') if 'http-equiv' in m)
    assert "default-src 'none'" in policy['content']
    # plotly.js is most of it.
    assert 4e6 < path.stat().st_size < 7e6


def test_without_plotly_one_line_says_so(report, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'plotly.graph_objects', None)
    path = tmp_path / 'scoreboard.html'
    why = write_page(path, report, tmp_path)
    assert re.fullmatch(
        r"there is no page: .*plotly.* \(pip install 'hvc_mm\[report\]'\)", why
    )
    assert not path.exists()
