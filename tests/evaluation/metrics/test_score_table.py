"""Tables: nothing is cut, numbers are as given."""

import csv

from hvc_mm.evaluation.metrics.score_table import render_table, write_csv


def test_rendered_table():
    columns = ['sequence', *(f'column{i}' for i in range(9))]
    rows = [['a-long-name-of-a-sequence', *[0.12345] * 8, 7]]
    text = render_table('Title', columns, rows)
    assert text.startswith('\nTitle')
    for word in [*columns, 'a-long-name-of-a-sequence', '0.1', '7']:
        assert word in text
    assert '0.12' not in text


def test_square_brackets_are_text():
    """rich would take them for markup and drop them."""
    assert '[bold]' in render_table('t', ['name'], [['[bold]']])


def test_csv(tmp_path):
    path = tmp_path / 'new' / 'scores.csv'
    write_csv(path, ['name', 'J'], [['a, b', 1 / 3], ['c', 1.0]])
    with path.open() as file:
        rows = list(csv.reader(file))
    assert rows[0] == ['name', 'J'] and rows[1][0] == 'a, b'
    assert float(rows[1][1]) == 1 / 3
