"""What a propagation keeps is what docs/design.md says, at any length.

h w: grid, C: channels, M: label channels, T: context.
"""

import pytest
import torch
import torch.nn.functional as F

from hvc_mm.models.vos import LabelPropagator
from hvc_mm.models.vos import label_propagator as module

GRID, CHANNELS, CONTEXT, LABELS = (20, 22), 512, 8, 3
AREA = GRID[0] * GRID[1]


def held_bytes(thing, seen=None):
    """Bytes of the storages of all tensors that an object leads to."""
    first = seen is None
    seen = {} if first else seen
    if isinstance(thing, torch.Tensor):
        storage = thing.untyped_storage()
        seen[storage.data_ptr()] = storage.nbytes()
    elif isinstance(thing, dict):
        for value in thing.values():
            held_bytes(value, seen)
    elif isinstance(thing, (list, tuple)):
        for value in thing:
            held_bytes(value, seen)
    elif hasattr(thing, '__dict__') and not isinstance(thing, type):
        held_bytes(vars(thing), seen)
    return sum(seen.values()) if first else None


def play(frames, newcomer=False, **options):
    """Bytes that are held after so many frames."""
    generator = torch.Generator().manual_seed(0)
    propagator = LabelPropagator(radius=4, context=CONTEXT, **options)
    labels = torch.zeros(1, LABELS, *GRID)
    labels[:, 0], labels[:, 1, :5], labels[:, 2, 5:9] = 0.2, 0.4, 0.4
    for time in range(frames):
        features = torch.randn(1, CHANNELS, *GRID, generator=generator)
        new = labels if time == 0 else None
        if newcomer and time == 3:
            new = torch.cat([torch.zeros_like(labels), labels[:, 1:2]], 1)
        propagator.step(F.normalize(features, dim=1), new)
    return held_bytes(propagator)


def formula(product=4, bank=4, banks=1, references=((1, LABELS),)):
    """Of docs/design.md: the ring, then each reference's map and labels.

    Where products and bank differ in type a reference is kept in both: one
    map and a half.
    """
    ring = CONTEXT * AREA * CHANNELS * bank
    if banks == 2:
        ring += CONTEXT * AREA * CHANNELS * product
    kept = 0
    for maps, labels in references:
        kept += maps * AREA * CHANNELS * 4
        kept += (CONTEXT + 1) * AREA * labels * 4
    return ring + kept


@pytest.fixture
def work(monkeypatch):
    """Room to work in: a tile's scores, and the tables of the disc."""
    monkeypatch.setattr(module, 'CPU_BUDGET', 64 << 10)
    radius = 4
    cells = sum(
        y * y + x * x < radius**2
        for y in range(-radius, radius)
        for x in range(-radius, radius)
    )
    shapes = 2 * radius + 1
    return (64 << 10) + shapes * AREA * cells * 9


@pytest.mark.parametrize(
    'options, expected',
    [
        ({}, formula()),
        (
            dict(bank_dtype='float16'),
            formula(bank=2, references=((1.5, LABELS),)),
        ),
        (
            dict(compute_dtype='bfloat16'),
            formula(product=2, banks=2, references=((1.5, LABELS),)),
        ),
        (
            dict(newcomer=True),
            formula(references=((1, LABELS), (1, 1))),
        ),
    ],
    ids=['fp32', 'half bank', 'half products', 'two references'],
)
def test_it_keeps_what_the_formula_says(options, expected, work):
    early, late = play(CONTEXT + 2, **options), play(40, **options)
    assert late == early, 'it grows with the video'
    assert expected <= late <= expected + work < 1.4 * expected
