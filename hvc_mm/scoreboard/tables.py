"""A report's figures as tables: Markdown, CSV and LaTeX."""

from __future__ import annotations

from itertools import combinations, groupby
from typing import Any, Dict, List, Mapping, Optional, Sequence

import pandas as pd

from hvc_mm.engine.hooks.protocol_log_hook import counts_of_total

from .intervals import Interval, difference_of, score_interval, why_unpaired
from .protocols import protocol_of
from .published import Published

__all__ = [
    'SECONDS',
    'as_latex',
    'differences_table',
    'markdown_table',
    'published_table',
    'runs_table',
    'scores_table',
]

Result = Mapping[str, Any]

SECONDS = 's/frame'
_INTERVAL = '95% interval'


def scores_table(
    results: Sequence[Result], published: Sequence[Published]
) -> pd.DataFrame:
    """List every score with its interval, a row a run and score.

    Published scores come after those of the same benchmark; their source is
    named.

    Args:
        results: Of runs, as :mod:`~hvc_mm.scoreboard.results` has them.
        published: Those of other benchmarks are left out.
    """
    rows = []
    for title, own in groupby(results, _title):
        own = list(own)
        rows += [row for result in own for row in _rows_of(result)]
        name = own[0]['benchmark']['name']
        for entry in published:
            if entry.benchmark == name:
                for head, value in entry.scores.items():
                    rows.append(
                        {
                            'benchmark': title,
                            'protocol': entry.protocol,
                            'backbone': entry.backbone,
                            'score': head,
                            'value': value,
                            'source': f'published: {entry.source}',
                        }
                    )
    table = pd.DataFrame(rows)
    # Published ones have none, which would make them decimals.
    whole = [name for name in ('videos', 'frames') if name in table]
    return table.astype(dict.fromkeys(whole, 'Int64'))


def _rows_of(result: Result) -> List[Dict[str, Any]]:
    counts = result['benchmark']['counts']
    rows = []
    for head, value in result['scores'].items():
        interval = score_interval(result, head)
        rows.append(
            {
                'benchmark': _title(result),
                'protocol': protocol_of(result),
                'backbone': result['backbone']['name'],
                'score': head,
                'value': value,
                'low': interval.low if interval else None,
                'high': interval.high if interval else None,
                'videos': counts.get('videos'),
                'frames': counts.get('frames'),
                'seconds_per_frame': result['seconds_per_frame'],
                'input_size': _size(result),
                'key': result['key'],
                'source': 'measured',
            }
        )
    return rows


def differences_table(results: Sequence[Result]) -> pd.DataFrame:
    """List the differences of all pairs of backbones that can be compared.

    Those of the same benchmark, data, protocol and size of frames; of the
    score that they are ranked by.
    """
    columns = ('benchmark', 'protocol', 'backbone', 'minus', 'score')
    rows = []
    for one, other in combinations(results, 2):
        if why_unpaired(one, other) is None:
            head = one['benchmark']['headline']
            names = [r['backbone']['name'] for r in (one, other)]
            row = dict(
                zip(columns, (_title(one), protocol_of(one), *names, head))
            )
            rows.append({**row, **difference_of(one, other, head)._asdict()})
    return pd.DataFrame(rows, columns=[*columns, *Interval._fields])


def runs_table(results: Sequence[Result]) -> pd.DataFrame:
    """Tabulate the backbones on a benchmark by one protocol, for people.

    Args:
        results: Of one benchmark and protocol.

    Returns:
        DataFrame: By backbone its scores, the interval of the first one, how
        far it is from the best backbone's, and seconds a frame.
    """
    head = results[0]['benchmark']['headline']
    best = max(results, key=lambda result: result['scores'][head])
    rows = {}
    for result in results:
        interval = score_interval(result, head)
        apart = None
        if result is not best and why_unpaired(result, best) is None:
            apart = difference_of(result, best, head)
        scores = dict(result['scores'])
        rows[result['backbone']['name']] = {
            head: scores.pop(head),
            _INTERVAL: _limits(interval),
            'to the best': _signed(apart),
            **scores,
            SECONDS: result['seconds_per_frame'],
        }
    table = pd.DataFrame.from_dict(rows, orient='index')
    if len(results) == 1:
        table = table.drop(columns='to the best')
    return table


def published_table(
    published: Sequence[Published], benchmark: str
) -> Optional[pd.DataFrame]:
    """Tabulate a benchmark's published scores; None where there are none."""
    rows = {
        entry.backbone: {
            'protocol': entry.protocol or 'not known',
            **entry.scores,
            'source': entry.source,
        }
        for entry in published
        if entry.benchmark == benchmark
    }
    table = pd.DataFrame.from_dict(rows, orient='index')
    if table.empty:
        return None
    last = table.pop('source')
    return table.assign(source=last)


def as_latex(results: Sequence[Result], published: Sequence[Published]) -> str:
    """Write a LaTeX table a benchmark, for ``booktabs``.

    Published scores come last and are named so; their sources, and how much
    of the benchmark was scored, are in the caption.
    """
    parts = []
    for title, own in groupby(results, _title):
        own = list(own)
        name = own[0]['benchmark']['name']
        others = [entry for entry in published if entry.benchmark == name]
        rows = [*map(_latex_row, own)]
        for entry in others:
            scores = {h: _number(v) for h, v in entry.scores.items()}
            what = f'{entry.backbone} (published)'
            by = entry.protocol or '-'
            rows.append({'backbone': what, 'protocol': by, **scores})
        counts = own[0]['benchmark']['counts'], own[0]['benchmark']['whole']
        caption = f'{title}: {counts_of_total(*counts)}.'
        if others:
            sources = (f'{each.backbone}: {each.source}' for each in others)
            caption += f' Published, not measured here: {"; ".join(sources)}.'
        for character in '&%_#':
            caption = caption.replace(character, f'\\{character}')
        table = pd.DataFrame(rows).fillna('-')
        parts.append(table.to_latex(index=False, escape=True, caption=caption))
    return '\n'.join(parts)


def _latex_row(result: Result) -> Dict[str, str]:
    first, *heads = result['scores']
    size = _size(result)
    return {
        'backbone': result['backbone']['name'],
        'protocol': protocol_of(result) + (f' at {size}' if size else ''),
        first: _number(result['scores'][first]),
        _INTERVAL: _limits(score_interval(result, first)),
        **{head: _number(result['scores'][head]) for head in heads},
        SECONDS: _number(result['seconds_per_frame'], 3),
    }


def markdown_table(
    table: pd.DataFrame, corner: str, texts: Sequence[str] = ()
) -> str:
    """Write a table in Markdown, a line a row.

    Figures are shown with one decimal, seconds with three, and what isn't
    known as a dash.

    Args:
        table: The figures.
        corner: Head of the column of row names.
        texts: Heads of columns that aren't right-aligned.
    """

    def shown(head: str, value: Any) -> str:
        if isinstance(value, (str, int)):
            return str(value)
        return _number(value, 3 if head == SECONDS else 1)

    heads = list(table.columns)
    alignment = ['---' if head in texts else '---:' for head in heads]
    lines = [[corner, *heads], ['---', *alignment]]
    for name, *row in table.itertuples():
        lines.append([name, *map(shown, heads, row)])
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def _title(result: Result) -> str:
    return result['benchmark']['title']


def _size(result: Result) -> Optional[str]:
    """Name the size of frames, where it is not the protocol's own."""
    size = result['protocol']['input_size']
    return 'x'.join(map(str, size)) if size else None


def _number(value: Optional[float], digits: int = 1) -> str:
    return '-' if value is None or pd.isna(value) else f'{value:.{digits}f}'


def _limits(interval: Optional[Interval]) -> str:
    if interval is None:
        return '-'
    return f'{interval.low:.1f} to {interval.high:.1f}'


def _signed(interval: Optional[Interval]) -> str:
    if interval is None:
        return '-'
    return (
        f'{interval.value:+.1f} ({interval.low:+.1f} to {interval.high:+.1f})'
    )
