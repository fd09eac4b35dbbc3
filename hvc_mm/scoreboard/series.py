"""What the plots and the page draw alike: colours, curves and groups.

A backbone has one colour everywhere; protocols differ by symbols and dashes,
or have a panel each.
"""

from __future__ import annotations

from typing import Any, Dict, Mapping, NamedTuple, Sequence

import numpy as np
import pandas as pd

from .protocols import protocol_of

__all__ = [
    'SHARES',
    'Style',
    'differences',
    'group_sequences',
    'styles_of',
    'mean_curve',
]

# Those of Okabe and Ito (2008), made for all kinds of colour vision, without
# yellow and black, which can't be seen on one of white and dark.
_COLORS = (
    *('#0072b2', '#d55e00', '#009e73', '#cc79a7'),
    *('#e69f00', '#56b4e9', '#808080'),
)
# Videos differ in length: their mean curve runs over shares of the video.
SHARES = np.linspace(0, 1, 50)
# More bars can't be read.
_MOST_BARS = 40


class Style(NamedTuple):
    """How a backbone's results are drawn.

    Attributes:
        color: As ``#rrggbb``.
        turn: 0, or how many backbones before it have that colour: hatched,
            or drawn in wider lines.
    """

    color: str
    turn: int


def styles_of(names: Sequence[str]) -> Dict[str, Style]:
    """Give every backbone a style of its own, in the order of their names."""
    return {
        name: Style(_COLORS[i % len(_COLORS)], i // len(_COLORS))
        for i, name in enumerate(dict.fromkeys(names))
    }


def mean_curve(curves: Sequence[Sequence[float]]) -> np.ndarray:
    """Average curves of differing length, over 50 shares of their length."""
    stretched = [
        np.interp(SHARES, np.linspace(0, 1, len(curve)), curve)
        for curve in curves
    ]
    return np.mean(stretched, axis=0)


def group_sequences(scores: Mapping[str, float]) -> Dict[str, float]:
    """Keep as many bars as can be read.

    Of more than 40 that are called ``<class>/<clip>`` the means of the
    classes are taken, else the first 40.
    """
    column = pd.Series(dict(scores), dtype=float)
    if len(column) > _MOST_BARS and all('/' in name for name in scores):
        classes = [name.split('/')[0] for name in scores]
        return column.groupby(classes, sort=False).mean().to_dict()
    return column.head(_MOST_BARS).to_dict()


def differences(runs: Sequence[Mapping[str, Any]]) -> Dict[str, float]:
    """Tell by how much a benchmark's results differ on each video.

    Args:
        runs: Results on one benchmark, at least one.

    Returns:
        By video, the largest first: the range of its first score over the
        backbones, in percent, under the protocol where it is largest; where
        there is one backbone, the range over the protocols.
    """
    headline = runs[0]['benchmark']['headline']
    table = pd.DataFrame(
        [
            {
                name: scores[headline]
                for name, scores in run['sequences'].items()
            }
            for run in runs
        ]
    )
    groups = table.groupby([protocol_of(run) for run in runs])
    if len({run['backbone']['name'] for run in runs}) == 1:
        groups = table.groupby([0] * len(runs))
    spread = (groups.max() - groups.min()).max().fillna(0)
    return spread.sort_values(ascending=False, kind='stable').to_dict()
