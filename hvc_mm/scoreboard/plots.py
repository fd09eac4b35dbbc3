"""The scoreboard's plots: score against time, bars, J over time."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np
import pandas as pd
from cycler import cycler
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hvc_mm.utils.outputs import listed_file

from .entries import Benchmark
from .results import label_of

__all__ = ['draw_plots']

# More bars or panels can't be read.
_MOST_BARS, _MOST_PANELS, _COLUMNS = 40, 35, 4
# Videos differ in length: their mean curve runs over shares of the video.
_SHARES = np.linspace(0, 1, 50)


# How a backbone is drawn: matplotlib's colour, marker and line.
Style = Dict[str, Any]


def styles_of(names: Sequence[str]) -> Dict[str, Style]:
    """Give every backbone a style of its own, the same in all plots.

    Colours recur after ten, markers and lines go on.
    """
    lines = cycler(linestyle=['-', '--', ':'])
    looks = cycle(lines * cycler(color=colormaps['tab10'].colors))
    markers = cycle('os^DvPX*<>hp')
    return {
        name: dict(next(looks), marker=next(markers))
        for name in dict.fromkeys(names)
    }


def draw_plots(
    benchmarks: Sequence[Benchmark], results: Sequence[dict], out_dir: Path
) -> List[Tuple[str, str]]:
    """Draw what the results of runs allow, as PNG files in a folder.

    Returns:
        list: Pairs of a file's name and what it shows.
    """
    styles = styles_of([label_of(result) for result in results])
    drawn: Dict[str, Tuple[str, Figure]] = {}
    shown = []
    for benchmark in benchmarks:
        own = [r for r in results if r['benchmark']['name'] == benchmark.name]
        if not own:
            continue
        shown.append((benchmark, own))
        title = f'{benchmark.title}: {benchmark.headline} per sequence'
        figure = sequence_bars(benchmark, own, styles)
        drawn[f'{benchmark.name}_sequences.png'] = (title, figure)
        if any(result['curves'] for result in own):
            title = f'{benchmark.title}: J over time'
            figure = j_over_time(title, own, styles)
            drawn[f'{benchmark.name}_j_over_time.png'] = (title, figure)
    if shown:
        figure = score_against_time(shown, styles)
        title = 'Score against seconds per frame'
        drawn['score_against_time.png'] = (title, figure)
    for name, (_, figure) in drawn.items():
        _legend_below(figure)
        with listed_file(out_dir / name) as path:
            figure.savefig(path, dpi=110)
    return [(name, title) for name, (title, _) in drawn.items()]


def score_against_time(
    shown: Sequence[Tuple[Benchmark, Sequence[dict]]], styles: Dict[str, Style]
) -> Figure:
    """Draw a panel a benchmark, a point a backbone; up and left is better."""
    figure = Figure(
        layout='constrained', figsize=(max(4.2 * len(shown), 5.5), 3.8)
    )
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    for panel, (benchmark, results) in zip(panels, shown):
        for result in results:
            seconds = result['seconds_per_frame']
            if seconds is None:
                continue
            score = result['scores'][benchmark.headline]
            style = dict(styles[label_of(result)], linestyle='')
            # Points may cover each other.
            style.update(markersize=9, alpha=0.8, label=label_of(result))
            panel.plot(seconds, score, **style)
        panel.margins(0.15)
        panel.set_xlim(left=0)
        panel.grid(alpha=0.3)
        panel.set(title=benchmark.title, xlabel='seconds per frame')
        panel.set_ylabel(f'{benchmark.headline}, percent')
    return figure


def sequence_bars(
    benchmark: Benchmark, results: Sequence[dict], styles: Dict[str, Style]
) -> Figure:
    """Draw bars for the score and every sequence; of many clips per class."""
    head = benchmark.headline
    table = pd.DataFrame(
        {
            label_of(r): {
                'all': r['scores'][head],
                **group_sequences(
                    {name: each[head] for name, each in r['sequences'].items()}
                ),
            }
            for r in results
        }
    )
    inches = len(table) * (0.1 * len(results) + 0.2) + 1.5
    figure = Figure(
        layout='constrained', figsize=(min(max(inches, 5.5), 24), 4.2)
    )
    panel = figure.subplots()
    colors = [styles[name]['color'] for name in table.columns]
    table.plot.bar(ax=panel, color=colors, width=0.8, legend=False)
    for name, bars in zip(table.columns, panel.containers):
        for bar in bars if styles[name]['linestyle'] != '-' else ():
            bar.set_hatch('//')
    # The score itself is no sequence.
    panel.axvline(0.5, color='grey', linewidth=0.8)
    panel.set_xticks(
        *(range(len(table)), table.index),
        rotation=60,
        ha='right',
        rotation_mode='anchor',
    )
    panel.set(title=benchmark.title, ylim=(0, 100), axisbelow=True)
    panel.set_ylabel(f'{head}, percent')
    panel.grid(axis='y', alpha=0.3)
    return figure


def j_over_time(
    title: str, results: Sequence[dict], styles: Dict[str, Style]
) -> Figure:
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
        style = dict(styles[label_of(result)])
        marker = style.pop('marker')
        curve = mean_curve(list(result['curves'].values()))
        mean.plot(100 * _SHARES, curve, label=label_of(result), **style)
        for panel, name in zip(others, kept):
            curve = result['curves'].get(name, [])
            # A single frame makes no line.
            style['marker'] = marker if len(curve) == 1 else ''
            panel.plot(range(1, len(curve) + 1), curve, **style)
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
    return figure


def mean_curve(curves: Sequence[Sequence[float]]) -> np.ndarray:
    """Average curves of differing length, over 50 shares of their length."""
    stretched = [
        np.interp(_SHARES, np.linspace(0, 1, len(curve)), curve)
        for curve in curves
    ]
    return np.mean(stretched, axis=0)


def group_sequences(scores: Dict[str, float]) -> Dict[str, float]:
    """Keep as many bars as can be read.

    Of more than 40 that are called ``<class>/<clip>`` the means of the
    classes are taken, else the first 40.
    """
    column = pd.Series(scores, dtype=float)
    if len(column) > _MOST_BARS and all('/' in name for name in scores):
        classes = [name.split('/')[0] for name in scores]
        return column.groupby(classes, sort=False).mean().to_dict()
    return column.head(_MOST_BARS).to_dict()


def _legend_below(figure: Figure) -> None:
    """Draw one legend for all panels, where it covers nothing."""
    handles = {}
    for panel in figure.axes:
        found, names = panel.get_legend_handles_labels()
        handles = {**dict(zip(names, found)), **handles}
    columns = min(len(handles), _COLUMNS) or 1
    look = dict(loc='outside lower center', fontsize='small', ncol=columns)
    figure.legend(handles.values(), handles.keys(), **look)
