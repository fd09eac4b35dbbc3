"""The scoreboard's plots: score against time, bars, J over time."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .benchmarks import Benchmark

# More bars or panels can't be read.
_MOST_BARS = 40
_MOST_PANELS = 35
_PANEL_COLUMNS = 4
_LEGEND_COLUMNS = 4
# Videos differ in length: their mean curve runs over shares of the video.
_SHARES = 50
_MARKERS = 'os^DvPX*<>hp'
_LINES = ('-', '--', ':')
# What the bars beside those of the sequences are called.
_OVERALL = 'all'


class Look(NamedTuple):
    """How a backbone is drawn.

    Attributes:
        colour: Red, green, blue, alpha.
        marker: matplotlib's, of a point.
        line: matplotlib's, of a curve.
    """

    colour: Tuple[float, ...]
    marker: str
    line: str


def draw_plots(
    benchmarks: Sequence[Benchmark], results: Sequence[dict], out_dir: Path
) -> List[Tuple[str, str]]:
    """Draw whatever the results allow.

    Args:
        benchmarks: In the order of the report.
        results: What :func:`~hvc_mm.scoreboard.cell.run_cell` returned.
        out_dir: Where the PNG files go.

    Returns:
        list: Pairs of a file's name and what it shows.
    """
    looks = looks_of([result['backbone'] for result in results])
    drawn: Dict[str, Tuple[str, Figure]] = {}
    shown = []
    for benchmark in benchmarks:
        own = [r for r in results if r['benchmark'] == benchmark.name]
        if not own:
            continue
        shown.append((benchmark, own))
        drawn[f'{benchmark.name}_sequences.png'] = (
            f'{benchmark.title}: {benchmark.headline} per sequence',
            sequence_bars(benchmark, own, looks),
        )
        if any(result['curves'] for result in own):
            drawn[f'{benchmark.name}_j_over_time.png'] = (
                f'{benchmark.title}: J over time',
                j_over_time(benchmark, own, looks),
            )
    if shown:
        drawn['score_against_time.png'] = (
            'Score against seconds per frame',
            score_against_time(shown, looks),
        )
    out_dir.mkdir(parents=True, exist_ok=True)
    for name, (_, figure) in drawn.items():
        figure.savefig(out_dir / name, dpi=110, bbox_inches='tight')
    return [(name, title) for name, (title, _) in drawn.items()]


def looks_of(names: Sequence[str]) -> Dict[str, Look]:
    """Give every backbone a look of its own, the same in all plots.

    Args:
        names: The backbones; repetitions don't count.

    Returns:
        dict: By name; colours recur after ten, markers and lines go on.
    """
    palette = colormaps['tab10']
    return {
        name: Look(
            palette(i % 10),
            _MARKERS[i % len(_MARKERS)],
            _LINES[i // 10 % len(_LINES)],
        )
        for i, name in enumerate(dict.fromkeys(names))
    }


def score_against_time(
    shown: Sequence[Tuple[Benchmark, Sequence[dict]]], looks: Dict[str, Look]
) -> Figure:
    """One panel a benchmark, one point a backbone; up and left is better."""
    figure = Figure(figsize=(max(4.2 * len(shown), 5.5), 3.8))
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    for panel, (benchmark, results) in zip(panels, shown):
        for result in results:
            if result['seconds_per_frame'] is None:
                continue
            look = looks[result['backbone']]
            panel.plot(
                result['seconds_per_frame'],
                result['scores'][benchmark.headline],
                look.marker,
                color=look.colour,
                label=result['backbone'],
                markersize=9,
                # Points may lie on each other.
                alpha=0.8,
            )
        panel.set(
            title=benchmark.title,
            xlabel='seconds per frame',
            ylabel=f'{benchmark.headline}, percent',
        )
        panel.margins(0.15)
        panel.set_xlim(left=0)
        panel.grid(alpha=0.3)
    figure.tight_layout()
    _legend_below(figure, panels)
    return figure


def sequence_bars(
    benchmark: Benchmark, results: Sequence[dict], looks: Dict[str, Look]
) -> Figure:
    """Bars for the score and for every sequence; of many clips per class."""
    groups = [
        {
            _OVERALL: result['scores'][benchmark.headline],
            **group_sequences(result['sequences']),
        }
        for result in results
    ]
    names = list(dict.fromkeys(name for group in groups for name in group))
    # The first group is no sequence: it stands apart.
    places = np.arange(len(names)) + 0.5 * (np.arange(len(names)) > 0)
    inches = len(names) * (0.1 * len(results) + 0.2) + 1.5
    figure = Figure(figsize=(min(max(inches, 5.5), 24), 4.2))
    panel = figure.subplots()
    width = 0.8 / len(results)
    for index, (result, group) in enumerate(zip(results, groups)):
        look = looks[result['backbone']]
        panel.bar(
            places + (index + 0.5) * width - 0.4,
            [group.get(name, math.nan) for name in names],
            width,
            color=look.colour,
            hatch='' if look.line == '-' else '//',
            label=result['backbone'],
        )
    panel.set_xticks(places)
    panel.set_xticklabels(names, rotation=60, ha='right')
    for label in panel.get_xticklabels():
        label.set_rotation_mode('anchor')
    panel.set(title=benchmark.title, ylabel=f'{benchmark.headline}, percent')
    panel.set_xlim(places[0] - 0.7, places[-1] + 0.7)
    panel.set_ylim(0, 100)
    panel.set_axisbelow(True)
    panel.grid(axis='y', alpha=0.3)
    figure.tight_layout()
    _legend_below(figure, [panel])
    return figure


def j_over_time(
    benchmark: Benchmark, results: Sequence[dict], looks: Dict[str, Look]
) -> Figure:
    """J by frame for each sequence; first the mean of all sequences."""
    results = [result for result in results if result['curves']]
    names = list(dict.fromkeys(n for r in results for n in r['curves']))
    kept = names[:_MOST_PANELS]
    columns = min(_PANEL_COLUMNS, len(kept) + 1)
    rows = math.ceil((len(kept) + 1) / columns)
    figure = Figure(figsize=(3.6 * columns, 2.5 * rows))
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for panel in panels[len(kept) + 1 :]:
        panel.set_visible(False)
    for result in results:
        look = looks[result['backbone']]
        style = dict(color=look.colour, linestyle=look.line, linewidth=1.4)
        mean = mean_curve(list(result['curves'].values()))
        shares = np.linspace(0, 100, _SHARES)
        panels[0].plot(shares, mean, label=result['backbone'], **style)
        for panel, name in zip(panels[1:], kept):
            curve = result['curves'].get(name, [])
            # A single frame makes no line.
            marker = look.marker if len(curve) == 1 else ''
            frames = np.arange(1, len(curve) + 1)
            panel.plot(frames, curve, marker=marker, **style)
    panels[0].set(
        title=f'mean of {len(names)} sequences', xlabel='percent of the video'
    )
    for panel, name in zip(panels[1:], kept):
        panel.set(title=name, xlabel='frame')
        panel.set_xlim(
            0, 1 + max(len(r['curves'].get(name, ())) for r in results)
        )
        panel.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    for panel in panels:
        panel.set_ylim(0, 100)
        panel.grid(alpha=0.3)
    for panel in panels[::columns]:
        panel.set_ylabel('J, percent')
    figure.tight_layout()
    more = len(names) - len(kept)
    figure.suptitle(
        f'{benchmark.title}: J over time'
        + (f' ({more} more sequences not shown)' if more else ''),
        y=1.0,
        va='bottom',
    )
    _legend_below(figure, panels[:1])
    return figure


def mean_curve(curves: Sequence[Sequence[float]]) -> np.ndarray:
    """Mean of curves of differing length, over shares of their length.

    Args:
        curves: Each with one value a frame.

    Returns:
        np.ndarray: ``(50,)``.
    """
    shares = np.linspace(0, 1, _SHARES)
    return np.mean(
        [
            np.interp(shares, np.linspace(0, 1, len(curve)), curve)
            for curve in curves
        ],
        axis=0,
    )


def group_sequences(scores: Dict[str, float]) -> Dict[str, float]:
    """As many bars as can be read.

    Args:
        scores: By sequence. Where there are more than 40, and their names
            are ``<class>/<clip>``, the means of the classes are taken; else
            the first 40.

    Returns:
        dict: By sequence or class.
    """
    if len(scores) <= _MOST_BARS:
        return dict(scores)
    if not all('/' in name for name in scores):
        return dict(list(scores.items())[:_MOST_BARS])
    classes: Dict[str, List[float]] = {}
    for name, score in scores.items():
        classes.setdefault(name.split('/')[0], []).append(score)
    return {name: float(np.mean(values)) for name, values in classes.items()}


def _legend_below(figure: Figure, panels: Sequence[Axes]) -> None:
    """One legend for all panels, where it covers nothing."""
    handles: Dict[str, Any] = {}
    for panel in panels:
        found, names = panel.get_legend_handles_labels()
        handles = {**dict(zip(names, found)), **handles}
    figure.legend(
        handles.values(),
        handles.keys(),
        loc='upper center',
        bbox_to_anchor=(0.5, 0.0),
        ncol=min(len(handles), _LEGEND_COLUMNS) or 1,
        fontsize='small',
    )
