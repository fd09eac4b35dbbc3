"""Tables of scores for the terminal, the log and spreadsheets."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Sequence, Union

from rich.console import Console
from rich.table import Table

Cell = Union[str, float, int]
# Wide enough for every table here: a log file has no width of its own, and
# rich would otherwise cut columns at 80.
_WIDTH = 160


def render_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]
) -> str:
    """Draw a table; the last row may be a total.

    Args:
        title: What the table shows.
        columns: Heads; the first column is text, the others are numbers.
        rows: Cells; floats are shown with one decimal.

    Returns:
        str: The table, beginning with a line break so that it stands below
        a logger's prefix.
    """
    table = Table(title=title, title_justify='left')
    for i, column in enumerate(columns):
        table.add_column(column, justify='right' if i else 'left')
    for row in rows:
        table.add_row(*(_text(cell) for cell in row))
    out = io.StringIO()
    # Names are no markup: `[a]` stays.
    console = Console(
        file=out, width=_WIDTH, color_system=None, markup=False, emoji=False
    )
    console.print(table)
    return '\n' + out.getvalue().rstrip()


def write_csv(
    path: Path, columns: Sequence[str], rows: Sequence[Sequence[Cell]]
) -> None:
    """Write a table as CSV, numbers in full.

    Args:
        path: Where to; folders are made.
        columns: Heads.
        rows: Cells.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)


def _text(cell: Cell) -> str:
    return f'{cell:.1f}' if isinstance(cell, float) else str(cell)
