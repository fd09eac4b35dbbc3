"""The propagation benchmark compares like with like."""

import argparse

import pytest
import torch

from hvc_mm.benchmarks import propagation
from hvc_mm.benchmarks.propagation import Case

SMALL = (
    Case('plain', (12, 14), 8, 4, 6, (), 1e9, 0.5, quick=True),
    Case('newcomer', (12, 14), 8, 4, 6, (3,)),
)


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setattr(propagation, 'CASES', SMALL)
    monkeypatch.setattr(propagation, 'peak_flops', lambda device: 1e9)
    monkeypatch.setattr(propagation, 'RADIUS', 4)
    parser = argparse.ArgumentParser()
    propagation.add_arguments(parser)

    def measured(*options, quick=False):
        args = parser.parse_args([*options])
        vars(args).update(device='cpu', quick=quick, repeats=1)
        return propagation.run(args)

    return measured


def test_both_sides_give_the_same(run):
    report = run('--chunks', '99')
    assert [row['what'] for row in report.rows] == ['plain', 'newcomer']
    for row in report.rows:
        assert row['largest difference'] < 1e-5
        assert row['equal ids'] == 1
        assert row['time ratio'] == row['dense s'] / row['ours s']
    assert report.missed, 'a million-fold ratio was asked for'


def test_a_difference_is_seen(run, monkeypatch):
    whole = propagation.dense_labels
    monkeypatch.setattr(
        propagation, 'dense_labels', lambda *all: whole(*all).flip(0)
    )
    (row,) = run('--cases', 'plain').rows
    assert row['largest difference'] > 0.01
    assert row['equal ids'] < 1


def test_quick_takes_its_own_cases(run):
    assert [row['what'] for row in run(quick=True).rows] == ['plain']
    report = run('--compute-dtype', 'bfloat16', quick=True)
    assert report.marks == []


def test_marks_of_the_shipped_cases():
    """As asked for, each with the setting it was asked for."""
    found = {
        (case.grid, case.channels, case.context, case.time > case.context)
        + (len(case.newcomers),): (case.time_mark, case.memory_mark)
        for case in propagation.CASES
        if case.time_mark
    }
    assert found[(60, 107), 256, 50, True, 0] == (12, None)
    assert found[(60, 107), 1280, 50, True, 0] == (10, 0.1)
    assert found[(60, 107), 256, 50, False, 0] == (30, None)
    assert found[(30, 54), 256, 20, True, 0] == (2.7, None)
    assert found[(30, 54), 256, 20, False, 1] == (6, None)


def test_the_spread_of_chunks(monkeypatch):
    monkeypatch.setattr(propagation, 'CHUNK', 10)
    cells = torch.arange(95)
    assert torch.equal(propagation.spread(cells, 10), cells)
    some = propagation.spread(cells, 3)
    assert some.tolist()[::10] == [0, 30, 60]
    assert len(some) == 30


def test_needed_products():
    """By counting pairs on a small grid."""
    case = Case('', (5, 6), 3, 4, 9, (2,))
    pairs = sum(
        (y - v) ** 2 + (x - u) ** 2 < 144
        for y in range(5)
        for x in range(6)
        for v in range(5)
        for u in range(6)
    )
    expected = 2 * 3 * (4 * pairs + 2 * 30**2)
    assert propagation.needed_flop(case) == expected
