"""Colours, curves and groups, which plots and page share."""

import numpy as np

from hvc_mm.scoreboard.protocols import protocol_of
from hvc_mm.scoreboard.series import (
    differences,
    group_sequences,
    mean_curve,
    styles_of,
)


def test_backbones_differ_in_colour_and_beyond_seven_in_turn():
    styles = styles_of([f'b{i}' for i in range(20)] + ['b0'])
    assert len(set(styles.values())) == 20
    assert len({style.color for style in styles.values()}) == 7
    assert [styles[name].turn for name in ('b0', 'b6', 'b7', 'b14')] == [
        *(0, 0, 1, 2)
    ]


def _luminance(color):
    """Relative luminance of ``#rrggbb``, as WCAG 2 defines it."""
    parts = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(
        parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4
    )
    return linear @ [0.2126, 0.7152, 0.0722]


def test_colours_are_seen_on_white_and_on_dark():
    for style in styles_of('abcdefg').values():
        own = _luminance(style.color)
        assert 1.05 / (own + 0.05) > 2
        assert (own + 0.05) / (_luminance('#1d2229') + 0.05) > 3


def test_curves_of_differing_length_and_many_clips():
    mean = mean_curve([[0.0, 100.0], [100.0, 50.0, 0.0]])
    assert np.allclose(mean, 50)
    few = {f'a/{i}': float(i) for i in range(3)}
    assert group_sequences(few) == few
    clips = {f'{"ab"[i % 2]}/{i}': float(i % 2) for i in range(50)}
    assert group_sequences(clips) == {'a': 0.0, 'b': 1.0}
    videos = {f'v{i}': 1.0 for i in range(50)}
    assert list(group_sequences(videos)) == [f'v{i}' for i in range(40)]


def test_differences_are_between_backbones_under_one_protocol(result_of):
    runs = [
        result_of('a', sequences={'x': 10.0, 'y': 50.0, 'z': 5.0}),
        result_of('b', sequences={'x': 13.0, 'y': 50.0, 'z': 5.0}),
        result_of('a', 'dino', sequences={'x': 90.0, 'y': 70.0, 'z': 5.0}),
        result_of('b', 'dino', sequences={'x': 90.0, 'y': 90.0}),
    ]
    assert [protocol_of(run) for run in runs[1:3]] == ['own', 'dino']
    found = differences(runs)
    assert list(found.items()) == [('y', 20.0), ('x', 3.0), ('z', 0.0)]
    # One backbone: what there is to see is between protocols.
    found = differences(runs[::2])
    assert list(found.items()) == [('x', 80.0), ('y', 20.0), ('z', 0.0)]
    assert set(differences(runs[:1]).values()) == {0.0}
