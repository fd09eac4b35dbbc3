"""The scoreboard as one HTML file, with all that it needs inside."""

from __future__ import annotations

import base64
import json
from importlib import import_module
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence

import pandas as pd

from hvc_mm.engine.hooks.protocol_log_hook import counts_of_total
from hvc_mm.utils.outputs import listed_file

from .protocols import protocol_of
from .published import Published
from .series import Style, differences, styles_of
from .strips import GROUND_TRUTH
from .tables import SECONDS, published_table, runs_table

__all__ = ['missing_for_page', 'render_page', 'write_page']

Run = Mapping[str, Any]

# Strips of one video and 15 runs are half a megabyte.
_MOST_VIDEOS = 40


def missing_for_page() -> Optional[str]:
    """Tell what has to be installed for the page; None if nothing has."""
    try:
        for name in ('jinja2', 'plotly.graph_objects'):
            import_module(name)
    except ImportError as error:
        return f"there is no page: {error} (pip install 'hvc_mm[report]')"
    return None


def write_page(
    path: Path,
    report: Mapping[str, Any],
    runs_dir: Path,
    published: Sequence[Published] = (),
) -> Optional[str]:
    """Write the page of a report.

    Args:
        path: The HTML file.
        report: What ``scoreboard.json`` holds.
        runs_dir: The folder of the runs, with their strips.
        published: Scores to show next to these.

    Returns:
        str: Why there is none, where plotly or jinja2 is missing.
    """
    missing = missing_for_page()
    if missing is None:
        page = render_page(report, runs_dir, published)
        with listed_file(path) as partial:
            partial.write_text(page, encoding='utf-8')
    return missing


def render_page(
    report: Mapping[str, Any],
    runs_dir: Path,
    published: Sequence[Published] = (),
) -> str:
    """Render a report as HTML that loads nothing.

    Args:
        report: ``runs`` (see :mod:`~hvc_mm.scoreboard.results`), and why
            others are missing: ``failures``, ``skipped``.
        runs_dir: ``<backbone>/<benchmark>/<protocol>/<key>/`` below it has a
            run's ``strips``, if it has any.
        published: Scores to show next to these; those of other benchmarks
            are left out.

    Raises:
        ImportError: plotly or jinja2 is missing.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from plotly.offline import get_plotlyjs

    runs = report['runs']
    styles = styles_of([run['backbone']['name'] for run in runs])
    environment = Environment(
        loader=PackageLoader('hvc_mm.scoreboard', ''),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters.update(
        cell=_cell,
        decimals=_decimals,
        figure_json=_figure_json,
        numbers=_flat,
        protocol=protocol_of,
    )
    protocols = list(dict.fromkeys(map(protocol_of, runs)))
    return environment.get_template('page.html').render(
        report=report,
        styles=styles,
        protocols=protocols,
        sections=[
            _Section(own, styles, protocols, runs_dir)
            for own in _by_benchmark(runs)
        ],
        published={
            own[0]['benchmark']['name']: published_table(
                published, own[0]['benchmark']['name']
            )
            for own in _by_benchmark(runs)
        },
        backbones=_distinct(run['backbone'] for run in runs),
        plotly=get_plotlyjs(),
    )


class _Section:
    """What the template asks about a benchmark."""

    def __init__(
        self,
        runs: Sequence[Run],
        styles: Mapping[str, Style],
        protocols: Sequence[str],
        runs_dir: Path,
    ) -> None:
        from .charts import Charts  # imports plotly

        self.runs = runs
        self.benchmark = runs[0]['benchmark']
        self.headline = self.benchmark['headline']
        self.tables = {
            protocol: runs_table(own) for protocol, own in self.groups.items()
        }
        self.has_curves = any(run['curves'] for run in runs)
        self.charts = Charts(runs, styles, protocols)
        self._runs_dir = runs_dir
        self._differences = differences(runs)
        # A bar is 7 pixels wide at least.
        bars = min(len(self._differences), _MOST_VIDEOS) + 1
        widest = max(map(len, self.groups.values()))
        self.bars_width = bars * (7 * widest + 6) + 70
        self.more_videos = max(0, len(self._differences) - _MOST_VIDEOS)

    @property
    def counts(self) -> str:
        """How much of the benchmark was scored."""
        return counts_of_total(
            self.benchmark['counts'], self.benchmark['whole']
        )

    @property
    def groups(self) -> Dict[str, List[Run]]:
        """The runs by protocol."""
        found: Dict[str, List[Run]] = {}
        for run in self.runs:
            found.setdefault(protocol_of(run), []).append(run)
        return found

    @property
    def columns(self) -> List[str]:
        """Heads of the table of scores."""
        return list(max(self.tables.values(), key=lambda t: t.shape[1]))

    @property
    def setups(self) -> List[Dict[str, Any]]:
        """All that differs between protocols."""
        return _distinct(run['protocol'] for run in self.runs)

    @property
    def sequences(self) -> List[str]:
        """Names of all videos, in the benchmark's order."""
        return list(
            dict.fromkeys(n for r in self.runs for n in r['sequences'])
        )

    @property
    def videos(self) -> Iterator[Dict[str, Any]]:
        """The videos that have strips, the largest difference first."""
        for name in list(self._differences)[:_MOST_VIDEOS]:
            strips = [self._strip(run, name) for run in self.runs]
            if any(strips):
                yield {
                    'name': name,
                    'difference': self._differences[name],
                    'truth': self._ground_truth(name),
                    'rows': list(zip(self.runs, strips)),
                }

    def score(self, run: Run, video: str) -> Optional[float]:
        """A run's first score on a video, in percent."""
        return run['sequences'].get(video, {}).get(self.headline)

    def is_best(self, run: Run, head: str) -> bool:
        """Tell whether no other run under this protocol has a higher score."""
        rivals = self.groups[protocol_of(run)]
        if head not in run['scores'] or len(rivals) == 1:
            return False
        best = max(rival['scores'][head] for rival in rivals)
        return run['scores'][head] == best

    def _strip(self, run: Run, video: str) -> Optional[str]:
        """Read a strip as a data URI; None where there is none."""
        return self._read(run, run['strips'], video)

    def _ground_truth(self, video: str) -> Optional[str]:
        found = (self._read(run, GROUND_TRUTH, video) for run in self.runs)
        return next(filter(None, found), None)

    def _read(self, run: Run, kind: str, video: str) -> Optional[str]:
        if not run['strips']:
            return None
        names = (run['backbone']['name'], self.benchmark['name'])
        names = (*names, protocol_of(run), run['key'], kind, f'{video}.jpg')
        path = self._runs_dir.joinpath(*names)
        # A name in a report of somebody else's may lead anywhere.
        inside = self._runs_dir.resolve() in path.resolve().parents
        if not inside or not path.is_file():
            return None
        content = base64.b64encode(path.read_bytes()).decode()
        return f'data:image/jpeg;base64,{content}'


def _by_benchmark(runs: Sequence[Run]) -> List[List[Run]]:
    found: Dict[str, List[Run]] = {}
    for run in runs:
        found.setdefault(run['benchmark']['name'], []).append(run)
    return list(found.values())


def _distinct(parts: Iterator[Mapping[str, Any]]) -> List[Dict[str, Any]]:
    """Keep one of each that are equal."""
    found = {json.dumps(part, sort_keys=True): part for part in parts}
    return list(found.values())


def _flat(tree: Any, path: str = '') -> Iterator[tuple]:
    """Go through nested dicts: ``('model.codec.type', 'MaskCodec')``."""
    if isinstance(tree, Mapping) and tree:
        for key, value in tree.items():
            yield from _flat(value, f'{path}.{key}' if path else str(key))
    else:
        yield path, json.dumps(tree)


def _cell(table: pd.DataFrame, row: str, head: str) -> str:
    """Write a figure of a table of runs as people read it."""
    value = table.at[row, head] if head in table else None
    if isinstance(value, str):
        return value
    value = None if pd.isna(value) else float(value)
    return _decimals(value, 3 if head == SECONDS else 1)


def _decimals(value: Optional[float], digits: int) -> str:
    return '-' if value is None else f'{value:.{digits}f}'


def _figure_json(figure: Any) -> str:
    from markupsafe import Markup

    # No text in it may end the script that it is in.
    return Markup(figure.to_json().replace('<', '\\u003c'))
