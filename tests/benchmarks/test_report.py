"""Marks, verdicts and tables of the benchmarks."""

import io
import json
import math

import pytest
from rich.console import Console

from hvc_mm.benchmarks.report import Mark, Report, ratio


@pytest.mark.parametrize(
    'value, bound, at_most, missed',
    [
        (28.0, 28, False, False),
        (27.9, 28, False, True),
        (0.36, 0.36, True, False),
        (0.37, 0.36, True, True),
        (None, 28, False, False),
        (None, 0.36, True, False),
        (math.nan, 28, False, True),
        (math.nan, 0.36, True, True),
    ],
)
def test_a_mark_is_missed_on_the_wrong_side(value, bound, at_most, missed):
    mark = Mark('it', value, bound, at_most)
    assert mark.missed is missed
    assert ('MISSED' in str(mark)) is missed
    assert Report('all', marks=[Mark('x', 2, 1), mark]).missed is missed


def test_a_figure_without_a_bound_is_shown_alone():
    for value in (3.0, math.nan, None):
        assert not Mark('it', value).missed
    assert str(Mark('it', 3.0)) == 'it x3.0'
    assert str(Mark('it', 262.6, form='{:.0f}')) == 'it 263'
    mark = Mark('it', 0.009, 0.008, True, '{:.4f} s')
    assert str(mark) == 'it 0.0090 s (<= 0.0080 s) MISSED'


def test_verdict_is_one_line():
    report = Report(
        'all',
        marks=[Mark('speed', 30.26, 28), Mark('memory', None, 0.1, True)],
    )
    assert report.verdict() == (
        'speed x30.3 (>= x28.0); memory n/a (<= 0.100)'
    )
    assert Report('none').verdict() == 'no marks' and not Report('none').missed


def test_table_and_json_hold_the_rows():
    report = Report('all', [{'what': 'a', 's': 0.01234, 'MB': None}])
    out = io.StringIO()
    Console(file=out, width=80).print(report.table())
    for text in ('all', 'what', 'MB', '0.0123', 'n/a'):
        assert text in out.getvalue()
    assert json.loads(json.dumps(report.to_dict()))['rows'] == report.rows


def test_ratio():
    assert ratio(6.0, 2.0) == 3
    assert ratio(1.0, 0.0) == math.inf
    assert ratio(None, 1.0) is None and ratio(1.0, None) is None
