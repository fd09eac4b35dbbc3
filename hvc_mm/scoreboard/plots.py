"""The scoreboard's plots: score against time, bars, J over time."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Dict, List, Sequence, Tuple

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from .benchmarks import Benchmark

# More bars or panels can't be read.
_MOST_BARS = 40
_MOST_PANELS = 35
_PANEL_COLUMNS = 4
# Videos differ in length: their mean curve runs over shares of the video.
_SHARES = 50


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
    colours = _colours(results)
    drawn: Dict[str, Tuple[str, Figure]] = {}
    shown = []
    for benchmark in benchmarks:
        own = [r for r in results if r['benchmark'] == benchmark.name]
        if not own:
            continue
        shown.append((benchmark, own))
        drawn[f'{benchmark.name}_sequences.png'] = (
            f'{benchmark.title}: {benchmark.headline} per sequence',
            sequence_bars(benchmark, own, colours),
        )
        if any(result['curves'] for result in own):
            drawn[f'{benchmark.name}_j_over_time.png'] = (
                f'{benchmark.title}: J over time',
                j_over_time(benchmark, own, colours),
            )
    if shown:
        drawn['score_against_time.png'] = (
            'Score against seconds per frame',
            score_against_time(shown, colours),
        )
    out_dir.mkdir(parents=True, exist_ok=True)
    for name, (_, figure) in drawn.items():
        figure.savefig(out_dir / name, dpi=110, bbox_inches='tight')
    return [(name, title) for name, (title, _) in drawn.items()]


def score_against_time(
    shown: Sequence[Tuple[Benchmark, Sequence[dict]]], colours: Dict
) -> Figure:
    """One panel a benchmark, one point a backbone; up and left is better."""
    figure = Figure(figsize=(4.6 * len(shown), 3.8))
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    for panel, (benchmark, results) in zip(panels, shown):
        for result in results:
            seconds = result['seconds_per_frame']
            if seconds is None:
                continue
            name = result['backbone']
            point = (seconds, result['scores'][benchmark.headline])
            panel.plot(*point, 'o', color=colours[name])
            panel.annotate(
                name, point, xytext=(5, 4), textcoords='offset points'
            )
        panel.set(
            title=benchmark.title,
            xlabel='seconds per frame',
            ylabel=f'{benchmark.headline}, percent',
        )
        panel.margins(0.2)
        panel.set_xlim(left=0)
        panel.grid(alpha=0.3)
    figure.tight_layout()
    return figure


def sequence_bars(
    benchmark: Benchmark, results: Sequence[dict], colours: Dict
) -> Figure:
    """Bars per sequence, of many clips per class, one colour a backbone."""
    groups = [group_sequences(result['sequences']) for result in results]
    names = list(dict.fromkeys(name for group in groups for name in group))
    figure = Figure(figsize=(max(5.0, 0.45 * len(names) + 2), 4.2))
    panel = figure.subplots()
    width = 0.8 / len(results)
    for index, (result, group) in enumerate(zip(results, groups)):
        places = np.arange(len(names)) + (index + 0.5) * width - 0.4
        panel.bar(
            places,
            [group.get(name, math.nan) for name in names],
            width,
            color=colours[result['backbone']],
            label=result['backbone'],
        )
    panel.set_xticks(np.arange(len(names)))
    panel.set_xticklabels(names, rotation=60, ha='right')
    panel.set(title=benchmark.title, ylabel=f'{benchmark.headline}, percent')
    panel.set_ylim(0, 100)
    panel.grid(axis='y', alpha=0.3)
    panel.legend(fontsize='small')
    return figure


def j_over_time(
    benchmark: Benchmark, results: Sequence[dict], colours: Dict
) -> Figure:
    """J by frame for each sequence; first the mean of all sequences."""
    names = list(dict.fromkeys(n for r in results for n in r['curves']))
    kept = names[:_MOST_PANELS]
    columns = min(_PANEL_COLUMNS, len(kept) + 1)
    rows = math.ceil((len(kept) + 1) / columns)
    figure = Figure(figsize=(3.6 * columns, 2.5 * rows))
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel in panels[len(kept) + 1 :]:
        panel.set_visible(False)
    for result in results:
        style = dict(color=colours[result['backbone']], linewidth=1.4)
        mean = mean_curve(list(result['curves'].values()))
        shares = np.linspace(0, 100, _SHARES)
        panels[0].plot(shares, mean, label=result['backbone'], **style)
        for panel, name in zip(panels[1:], kept):
            curve = result['curves'].get(name, [])
            panel.plot(np.arange(1, len(curve) + 1), curve, **style)
    title = f'mean of {len(names)} sequences'
    panels[0].set(title=title, xlabel='percent of the video')
    panels[0].legend(fontsize='x-small')
    for panel, name in zip(panels[1:], kept):
        panel.set(title=name, xlabel='frame')
    for panel in panels:
        panel.set_ylim(0, 100)
        panel.set_ylabel('J, percent')
        panel.grid(alpha=0.3)
    more = len(names) - len(kept)
    figure.suptitle(
        f'{benchmark.title}: J over time'
        + (f' ({more} more sequences not shown)' if more else '')
    )
    figure.tight_layout()
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


def _colours(results: Sequence[dict]) -> Dict[str, Tuple]:
    """One colour a backbone, the same in all plots."""
    palette = colormaps['tab10']
    names = dict.fromkeys(result['backbone'] for result in results)
    return {name: palette(i % 10) for i, name in enumerate(names)}
