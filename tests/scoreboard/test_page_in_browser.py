"""The page in a real browser without a network: it draws, without errors."""

import re
import subprocess

import pytest

from hvc_mm.scoreboard.page import missing_for_page, write_page

pytestmark = pytest.mark.skipif(
    bool(missing_for_page()), reason='the extra `report` is not installed'
)
CURVES = {'x': [80.0, 60, 40], 'y': [50.0, 50]}


@pytest.fixture
def open_page(tmp_path, chromium):
    """Load a page; its document after its scripts, and the console."""

    def load(path, *options, until=''):
        # On a loaded machine a browser may give a page up before it is drawn.
        for _ in range(3):
            document, console = once(path, *options)
            if until in document:
                break
        return document, console

    def once(path, *options):
        run = subprocess.run(
            [
                *(chromium, '--headless', '--no-sandbox', '--disable-gpu'),
                *('--no-first-run', '--disable-background-networking'),
                *('--host-resolver-rules=MAP * ~NOTFOUND', '--dump-dom'),
                *('--window-size=1200,9000', '--virtual-time-budget=10000'),
                *('--enable-logging=stderr', f'--user-data-dir={tmp_path}/u'),
                *options,
                path.as_uri(),
            ],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert run.returncode == 0, run.stderr[-2000:]
        return run.stdout, re.findall(r'.*CONSOLE.*', run.stderr)

    return load


def test_charts_are_drawn_and_nothing_complains(
    result_of, open_page, tmp_path
):
    name = '<script>alert(1)</script>'
    sequences = dict.fromkeys(CURVES, 50.0)
    report = {
        'runs': [
            result_of(*(each, protocol, 60.0, 0.5, sequences, CURVES))
            for each in (name, 'other')
            for protocol in (None, 'dino')
        ],
        'failures': [],
        'skipped': [],
    }
    path = tmp_path / 'scoreboard.html'
    write_page(path, report, tmp_path)
    for scheme, text in ((1, 'rgb(27, 31, 36)'), (0, 'rgb(230, 233, 237)')):
        option = f'--blink-settings=preferredColorScheme={scheme}'
        document, console = open_page(path, option, until='plot-container')
        assert console == []
        # Score against time, J over time, bars: all there is without strips.
        drawn = re.findall(r'class="chart js-plotly-plot"', document)
        assert len(drawn) == document.count('class="plot-container') == 3
        assert document.count('class="legendtext"') == 4 + 4 + 2
        # A name is a legend's text, and its colours are the scheme's.
        (legend, *_) = re.findall(
            r'<text class="legendtext".*?</text>', document
        )
        assert '&lt;script&gt;alert(1)&lt;/script&gt;' in legend
        assert f'fill: {text}' in legend


def test_the_console_is_heard(open_page, tmp_path):
    """Without this, silence would prove nothing."""
    path = tmp_path / 'page.html'
    path.write_text(
        '<script src="http://example.org/a.js"></script><script>f()</script>'
    )
    _, console = open_page(path)
    assert any('f is not defined' in line for line in console)
