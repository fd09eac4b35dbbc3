"""The scoreboard's plots: score against time, bars, J over time.

Each is a PNG, and an SVG and a PDF whose text is text, for papers. Colours
tell backbones apart; markers, lines and panels protocols.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, Sequence, Tuple

import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from hvc_mm.utils.outputs import listed_file

from .entries import Benchmark
from .protocols import protocol_of
from .series import (
    SHARES,
    group_sequences,
    mean_curve,
    styles_of,
)

__all__ = ['draw_plots', 'plot_files']

Run = Mapping[str, Any]

# What a format is saved with: the same plot gives the same file.
_FORMATS: Dict[str, Dict[str, Any]] = {
    '.png': dict(dpi=110),
    '.svg': dict(metadata={'Date': None}),
    '.pdf': dict(metadata={'CreationDate': None}),
}
# Text stays text: in an SVG as such, in a PDF as TrueType.
_TEXT = {
    'svg.fonttype': 'none',
    'svg.hashsalt': 'hvc_mm',
    'pdf.fonttype': 42,
}
# More panels can't be read.
_MOST_PANELS, _COLUMNS = 35, 4
_MARKERS = 'osD^PX'
_LINES = ('-', '--', ':', '-.', (0, (8, 2)), (0, (8, 2, 1, 2)))
_HATCHES = ('', '//', '..', 'xx')


class Styles:
    """How runs are drawn, the same in all plots.

    Args:
        runs: All of the report: their order gives colours and markers.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self._styles = styles_of([run['backbone']['name'] for run in runs])
        self._protocols = list(dict.fromkeys(map(protocol_of, runs)))

    def point(self, run: Run) -> Dict[str, Any]:
        """Style a run's point; points may cover each other."""
        return dict(
            color=self._styles[run['backbone']['name']].color,
            marker=self._pick(_MARKERS, protocol_of(run)),
            linestyle='',
            markersize=9,
            alpha=0.8,
        )

    def line(self, run: Run) -> Dict[str, Any]:
        """Style a run's curve."""
        style = self._styles[run['backbone']['name']]
        return dict(
            color=style.color,
            linewidth=1.5 + style.turn,
            linestyle=self._pick(_LINES, protocol_of(run)),
        )

    def bar(self, run: Run) -> Dict[str, Any]:
        """Style a run's bars."""
        style = self._styles[run['backbone']['name']]
        return dict(
            color=style.color, hatch=_HATCHES[style.turn % len(_HATCHES)]
        )

    def explain(self, figure: Figure, runs: Sequence[Run], kind: str) -> None:
        """Draw one legend for all panels, where it covers nothing.

        Args:
            figure: The plot.
            runs: Those that it shows.
            kind: What it shows of them: ``point``, ``line`` or ``bar``.
        """
        backbones = {run['backbone']['name']: run for run in runs}
        protocols = {protocol_of(run): run for run in runs}
        handles = [
            Patch(label=name, **self.bar(run))
            for name, run in backbones.items()
        ]
        if len(protocols) > 1 and kind != 'bar':
            handles += [
                Line2D(
                    [],
                    [],
                    label=f'protocol {name}',
                    **{**getattr(self, kind)(run), 'color': 'grey'},
                )
                for name, run in protocols.items()
            ]
        figure.legend(
            handles=handles,
            loc='outside lower center',
            fontsize='small',
            ncol=min(len(handles), _COLUMNS) or 1,
        )

    def _pick(self, kinds: Sequence[Any], protocol: str) -> Any:
        return kinds[self._protocols.index(protocol) % len(kinds)]


def plot_files(benchmarks: Iterable[Benchmark]) -> List[str]:
    """List the names of the files that :func:`draw_plots` may write."""
    stems = ['score_against_time']
    for benchmark in benchmarks:
        stems += [
            f'{benchmark.name}_sequences',
            f'{benchmark.name}_j_over_time',
        ]
    return [stem + suffix for stem in stems for suffix in _FORMATS]


def draw_plots(
    benchmarks: Sequence[Benchmark], results: Sequence[Run], out_dir: Path
) -> List[Tuple[str, str]]:
    """Draw what the results of runs allow, each as PNG, SVG and PDF.

    Returns:
        list: Pairs of a PNG's name and what it shows.
    """
    styles = Styles(results)
    drawn: Dict[str, Tuple[str, Figure]] = {}
    shown = []
    for benchmark in benchmarks:
        own = [r for r in results if r['benchmark']['name'] == benchmark.name]
        if not own:
            continue
        shown.append((benchmark, own))
        title = f'{benchmark.title}: {benchmark.headline} per sequence'
        figure = sequence_bars(benchmark, own, styles)
        drawn[f'{benchmark.name}_sequences'] = (title, figure)
        if any(result['curves'] for result in own):
            title = f'{benchmark.title}: J over time'
            figure = j_over_time(title, own, styles)
            drawn[f'{benchmark.name}_j_over_time'] = (title, figure)
    if shown:
        figure = score_against_time(shown, styles)
        title = 'Score against seconds per frame'
        drawn['score_against_time'] = (title, figure)
    for stem, (_, figure) in drawn.items():
        for suffix, options in _FORMATS.items():
            with listed_file(out_dir / f'{stem}{suffix}') as path:
                with rc_context(_TEXT):
                    figure.savefig(path, **options)
    return [(f'{stem}.png', title) for stem, (title, _) in drawn.items()]


def score_against_time(
    shown: Sequence[Tuple[Benchmark, Sequence[Run]]], styles: Styles
) -> Figure:
    """Draw a panel a benchmark, a point a run; up and left is better."""
    figure = Figure(
        layout='constrained', figsize=(max(4.2 * len(shown), 5.5), 3.8)
    )
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    for panel, (benchmark, results) in zip(panels, shown):
        for result in results:
            seconds = result['seconds_per_frame']
            if seconds is not None:
                score = result['scores'][benchmark.headline]
                panel.plot(seconds, score, **styles.point(result))
        panel.margins(0.15)
        panel.set_xlim(left=0)
        panel.grid(alpha=0.3)
        panel.set(title=benchmark.title, xlabel='seconds per frame')
        panel.set_ylabel(f'{benchmark.headline}, percent')
    every = [result for _, results in shown for result in results]
    styles.explain(figure, every, 'point')
    return figure


def sequence_bars(
    benchmark: Benchmark, results: Sequence[Run], styles: Styles
) -> Figure:
    """Draw bars for the score and every sequence, a panel a protocol.

    Of many clips the means of their classes are shown.
    """
    groups: Dict[str, List[Run]] = {}
    for result in results:
        groups.setdefault(protocol_of(result), []).append(result)
    tables = [_bars(benchmark, group) for group in groups.values()]
    inches = max(len(t) * (0.1 * len(t.columns) + 0.2) + 1.5 for t in tables)
    figure = Figure(
        layout='constrained',
        figsize=(min(max(inches, 5.5), 24), 2.2 * len(groups) + 2),
    )
    panels = figure.subplots(len(groups), squeeze=False, sharex=True)[:, 0]
    for panel, table, (name, group) in zip(panels, tables, groups.items()):
        shown = [styles.bar(result) for result in group]
        colors = [style['color'] for style in shown]
        table.plot.bar(ax=panel, color=colors, width=0.8, legend=False)
        for style, bars in zip(shown, panel.containers):
            for bar in bars:
                bar.set_hatch(style['hatch'])
        # The score itself is no sequence.
        panel.axvline(0.5, color='grey', linewidth=0.8)
        title = benchmark.title
        title += f', protocol {name}' if len(groups) > 1 else ''
        panel.set(title=title, ylim=(0, 100), axisbelow=True)
        panel.set_ylabel(f'{benchmark.headline}, percent')
        panel.grid(axis='y', alpha=0.3)
    panels[-1].set_xticks(
        *(range(len(tables[-1])), tables[-1].index),
        rotation=60,
        ha='right',
        rotation_mode='anchor',
    )
    styles.explain(figure, results, 'bar')
    return figure


def _bars(benchmark: Benchmark, results: Sequence[Run]) -> pd.DataFrame:
    """Tabulate the score and those of sequences, a column a run."""
    head = benchmark.headline
    columns = []
    for result in results:
        own = {name: each[head] for name, each in result['sequences'].items()}
        bars = {'all': result['scores'][head], **group_sequences(own)}
        columns.append(pd.Series(bars, name=result['backbone']['name']))
    return pd.concat(columns, axis=1)


def j_over_time(title: str, results: Sequence[Run], styles: Styles) -> Figure:
    """Draw J by frame of each sequence; first the mean of all sequences."""
    results = [result for result in results if result['curves']]
    names = list(dict.fromkeys(n for r in results for n in r['curves']))
    kept = names[:_MOST_PANELS]
    columns = min(_COLUMNS, len(kept) + 1)
    rows = -(-(len(kept) + 1) // columns)
    size = (3.6 * columns, 2.5 * rows)
    figure = Figure(layout='constrained', figsize=size)
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    mean, *others = grid.ravel()
    for result in results:
        style = styles.line(result)
        curve = mean_curve(list(result['curves'].values()))
        mean.plot(100 * SHARES, curve, **style)
        for panel, name in zip(others, kept):
            curve = result['curves'].get(name, [])
            # A single frame makes no line.
            marker = styles.point(result)['marker'] if len(curve) == 1 else ''
            panel.plot(range(1, len(curve) + 1), curve, marker=marker, **style)
    mean.set(title=f'mean of {len(names)} sequences', ylim=(0, 100))
    mean.set_xlabel('percent of the video')
    for panel, name in zip(others, kept):
        longest = max(len(r['curves'].get(name, ())) for r in results)
        panel.set(title=name, xlabel='frame', xlim=(0, 1 + longest))
        panel.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    for panel in others[len(kept) :]:
        panel.set_visible(False)
    for panel in figure.axes:
        panel.grid(alpha=0.3)
    for panel in grid[:, 0]:
        panel.set_ylabel('J, percent')
    more = len(names) - len(kept)
    rest = f' ({more} more sequences not shown)' if more else ''
    figure.suptitle(title + rest)
    styles.explain(figure, results, 'line')
    return figure
