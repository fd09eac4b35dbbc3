"""The page's charts, drawn by plotly.

Colours tell backbones apart, symbols, dashes and panels protocols. Text and
grid get their colours on the page, which is light or dark.
"""

from __future__ import annotations

import html
from typing import Any, Dict, Mapping, Optional, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from .protocols import protocol_of
from .series import (
    SHARES,
    Style,
    differences,
    group_sequences,
    mean_curve,
)

__all__ = ['Charts']

Run = Mapping[str, Any]

_SYMBOLS = ('circle', 'square', 'diamond', 'triangle-up', 'cross', 'x')
_DASHES = ('solid', 'dash', 'dot', 'dashdot', 'longdash', 'longdashdot')
_HATCHES = ('', '/', '.', 'x')
_GREY = '#808080'
_SIZE = 13
# Heights in pixels; a legend grows the chart on narrow screens.
_HEIGHT, _PANEL = 380, 230


class Charts:
    """Draw the results of one benchmark.

    Args:
        runs: The results, at least one.
        styles: How each backbone is drawn.
        protocols: All of the report, in its order: their places choose
            symbols and dashes.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        styles: Mapping[str, Style],
        protocols: Sequence[str],
    ) -> None:
        self.runs = runs
        self.headline = runs[0]['benchmark']['headline']
        self._styles = styles
        self._places = {name: i for i, name in enumerate(protocols)}

    def score_against_time(self) -> go.Figure:
        """Draw a point a run; up and left is better."""
        figure = self._figure()
        for run in self.runs:
            seconds = run['seconds_per_frame']
            if seconds is None:
                continue
            figure.add_scatter(
                x=[round(seconds, 4)],
                y=[round(run['scores'][self.headline], 2)],
                mode='markers',
                marker=dict(
                    color=self._style(run).color,
                    symbol=self._pick(_SYMBOLS, run),
                    size=_SIZE,
                    opacity=0.85,
                ),
                hovertemplate='%{y:.1f} percent, %{x:.3f} s a frame',
                **_named(run),
            )
        figure.update_xaxes(title='seconds a frame', rangemode='tozero')
        figure.update_yaxes(title=f'{_text(self.headline)}, percent')
        return self._explained(figure, mode='markers')

    def sequence_bars(self) -> go.Figure:
        """Draw bars for the score and every sequence, a panel a protocol.

        Sequences on which backbones differ most come first; of many clips
        the means of classes are shown.
        """
        names = list(dict.fromkeys(map(protocol_of, self.runs)))
        figure = make_subplots(
            rows=len(names),
            shared_xaxes=True,
            vertical_spacing=0.12 / len(names),
            subplot_titles=[_text(f'protocol {name}') for name in names]
            if len(names) > 1
            else None,
            figure=self._figure(),
        )
        order = differences(self.runs)
        for run in self.runs:
            scores = run['sequences']
            own = {
                name: scores[name][self.headline]
                for name in order
                if name in scores
            }
            bars = {'all': run['scores'][self.headline]}
            bars.update(group_sequences(own))
            style = self._style(run)
            hatch = _HATCHES[style.turn % len(_HATCHES)]
            figure.add_bar(
                x=[_text(name) for name in bars],
                y=[round(value, 2) for value in bars.values()],
                marker=dict(color=style.color, pattern=dict(shape=hatch)),
                hovertemplate='%{x}: %{y:.1f} percent',
                row=names.index(protocol_of(run)) + 1,
                col=1,
                **_named(run),
            )
        figure.update_xaxes(showgrid=False, automargin=True)
        # The score itself is no sequence.
        figure.add_vline(x=0.5, line=dict(color=_GREY, width=1))
        figure.update_yaxes(
            range=[0, 100], title=f'{_text(self.headline)}, percent'
        )
        figure.update_layout(bargap=0.25)
        figure.update_layout(height=_PANEL * len(names) + 170)
        if len(names) > 1:  # leave room for the first panel's title
            figure.update_layout(legend_y=1 + 30 / (_PANEL * len(names)))
        return _shown_once(figure)

    def mean_j_over_time(self) -> go.Figure:
        """Draw the mean of J over all videos, along their length."""
        figure = self._figure()
        for run in self.runs:
            if run['curves']:
                curve = mean_curve(list(run['curves'].values()))
                figure.add_scatter(
                    x=(100 * SHARES).round(1).tolist(),
                    y=curve.round(1).tolist(),
                    hovertemplate='%{y:.1f} percent at %{x:.0f} percent',
                    **self._line(run),
                )
        figure.update_xaxes(title='percent of the video')
        return self._j_axis(figure)

    def j_of_video(self, name: str) -> go.Figure:
        """Draw J by frame of one video."""
        figure = self._figure()
        for run in self.runs:
            curve = run['curves'].get(name, ())
            if curve:
                figure.add_scatter(
                    x=list(range(1, len(curve) + 1)),
                    y=np.round(curve, 1).tolist(),
                    hovertemplate='%{y:.1f} percent in frame %{x}',
                    # A single frame is no line.
                    **self._line(run, 'markers' if len(curve) == 1 else None),
                )
        figure.update_xaxes(title='scored frame')
        figure.update_layout(height=260)
        return self._j_axis(figure)

    def _figure(self) -> go.Figure:
        axis = dict(zeroline=False, automargin=True)
        return go.Figure(
            layout=dict(
                template='none',
                height=_HEIGHT,
                margin=dict(l=56, r=16, t=24, b=48),
                legend=dict(orientation='h', x=0, y=1.02, yanchor='bottom'),
                xaxis=axis,
                yaxis=axis,
            )
        )

    def _style(self, run: Run) -> Style:
        return self._styles[run['backbone']['name']]

    def _pick(self, kinds: Sequence[str], run: Run) -> str:
        return kinds[self._places[protocol_of(run)] % len(kinds)]

    def _line(self, run: Run, mode: Optional[str] = None) -> Dict[str, Any]:
        style = self._style(run)
        return dict(
            mode=mode or 'lines',
            marker=dict(color=style.color, symbol=self._pick(_SYMBOLS, run)),
            line=dict(
                color=style.color,
                width=2 + 1.5 * style.turn,
                dash=self._pick(_DASHES, run),
            ),
            **_named(run),
        )

    def _j_axis(self, figure: go.Figure) -> go.Figure:
        figure.update_yaxes(title='J, percent', range=[0, 100])
        return self._explained(figure, mode='lines')

    def _explained(self, figure: go.Figure, mode: str) -> go.Figure:
        """Add what symbols or dashes mean, where protocols differ."""
        names = {protocol_of(run): run for run in self.runs}
        for name, run in names.items() if len(names) > 1 else ():
            figure.add_scatter(
                x=[None],
                y=[None],
                mode=mode,
                marker=dict(
                    color=_GREY, symbol=self._pick(_SYMBOLS, run), size=_SIZE
                ),
                line=dict(color=_GREY, dash=self._pick(_DASHES, run)),
                name=_text(f'protocol {name}'),
                hoverinfo='skip',
            )
        return _shown_once(figure)


def _named(run: Run) -> Dict[str, str]:
    """Name a trace; those of one backbone are switched together."""
    name = run['backbone']['name']
    return dict(name=_text(name), legendgroup=f'backbone {name}')


def _shown_once(figure: go.Figure) -> go.Figure:
    """Let the legend have every name once."""
    seen: set = set()
    for trace in figure.data:
        trace.showlegend = trace.name not in seen
        seen.add(trace.name)
    return figure


def _text(name: str) -> str:
    """Write a name so that plotly takes nothing in it for a tag."""
    return html.escape(name, quote=False)
