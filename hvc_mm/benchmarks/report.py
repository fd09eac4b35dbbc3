"""What a benchmark found, as a table, as a verdict and as JSON."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Dict, List, Optional

from rich import box
from rich.table import Table


@dataclasses.dataclass
class Mark:
    """A figure of the final line; with a bound it must not fall behind it.

    Attributes:
        name: Short name for the final line.
        value: What was measured; None where the machine can't tell.
        bound: What is asked for; None: nothing, for this setting.
        at_most: The value must not exceed the bound (memory) rather than
            reach it (speed).
        form: How numbers are shown; ``'x{:.1f}'``, or with ``at_most``
            ``'{:.3f}'``, by default.
    """

    name: str
    value: Optional[float]
    bound: Optional[float] = None
    at_most: bool = False
    form: str = ''

    @property
    def missed(self) -> bool:
        """Whether the figure is known and on the wrong side, or no number."""
        if self.value is None or self.bound is None:
            return False
        if self.at_most:
            return not self.value <= self.bound
        return not self.value >= self.bound

    def __str__(self) -> str:
        value = 'n/a' if self.value is None else self._number(self.value)
        if self.bound is None:
            return f'{self.name} {value}'
        sign = '<=' if self.at_most else '>='
        state = ' MISSED' if self.missed else ''
        return (
            f'{self.name} {value} ({sign} {self._number(self.bound)}){state}'
        )

    def _number(self, value: float) -> str:
        form = self.form or ('{:.3f}' if self.at_most else 'x{:.1f}')
        return form.format(value)


@dataclasses.dataclass
class Report:
    """Rows of a table, and the marks that they are held against.

    Attributes:
        title: Heading of the table.
        rows: One dict per line, column name to value; all alike.
        marks: What the exit status depends on.
        notes: Lines to print below the table.
    """

    title: str
    rows: List[Dict[str, Any]] = dataclasses.field(default_factory=list)
    marks: List[Mark] = dataclasses.field(default_factory=list)
    notes: List[str] = dataclasses.field(default_factory=list)

    @property
    def missed(self) -> bool:
        """Whether any mark is."""
        return any(mark.missed for mark in self.marks)

    def table(self) -> Table:
        """The rows for a rich console."""
        table = Table(title=self.title, box=box.SIMPLE)
        for name in self.rows[0] if self.rows else ():
            table.add_column(name)
        for row in self.rows:
            table.add_row(*(_cell(value) for value in row.values()))
        return table

    def verdict(self) -> str:
        """All marks in one line."""
        return '; '.join(str(mark) for mark in self.marks) or 'no marks'

    def to_dict(self) -> Dict[str, Any]:
        """Plain values, for JSON."""
        return dataclasses.asdict(self)


def ratio(dense: Optional[float], ours: Optional[float]) -> Optional[float]:
    """``dense / ours``; None where either could not be measured."""
    if dense is None or ours is None:
        return None
    return dense / ours if ours > 0 else math.inf


def _cell(value: Any) -> str:
    if value is None:
        return 'n/a'
    if isinstance(value, float):
        return f'{value:.3g}' if abs(value) < 100 else f'{value:.0f}'
    return str(value)
