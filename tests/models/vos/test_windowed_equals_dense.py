"""The windowed propagator against the dense one, over random settings.

fp64 on both sides: then only an error, not rounding, can tell them apart.
"""

import random

import pytest
import torch
import torch.nn.functional as F

from hvc_mm.models.vos import DenseLabelPropagator, LabelPropagator


def _setting(seed):
    rng = random.Random(seed)
    return dict(
        grid=(rng.randint(1, 13), rng.randint(1, 17)),
        channels=rng.choice([1, 3, 8]),
        radius=rng.choice([None, 1, 1.5, 2, 3.7, 5, 12, 40]),
        topk=rng.choice([1, 2, 5, 15, 60]),
        context=rng.choice([0, 1, 2, 5, 9]),
        frames=rng.randint(2, 14),
        newcomers=sorted(rng.sample(range(1, 14), rng.randint(0, 3))),
    )


def _run(form, setting, seed):
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.rand(*shape, generator=generator, dtype=torch.double)

    height, width = setting['grid']
    propagator = form(
        setting['radius'], setting['topk'], 0.1, setting['context']
    )
    live, results = 3, []
    for t in range(setting['frames']):
        features = rand(1, setting['channels'], height, width) - 0.5
        labels = None
        if t == 0:
            labels = rand(1, live, height, width)
        elif t in setting['newcomers']:
            labels = torch.zeros(1, live + 1, height, width).double()
            labels[:, live] = rand(1, height, width)
            live += 1
        features = F.normalize(features, dim=1)
        results.append(propagator.step(features, labels))
    return results


@pytest.mark.parametrize('seed', range(60))
def test_equals_the_dense_form(seed):
    setting = _setting(seed)
    windowed = _run(LabelPropagator, setting, seed)
    dense = _run(DenseLabelPropagator, setting, seed)
    for t, (mine, theirs) in enumerate(zip(windowed, dense)):
        assert mine.shape == theirs.shape, (setting, t)
        # One channel of unit features is +1 or -1: all scores tie, and any
        # choice among them is right. Sums over labels tell those apart.
        if setting['channels'] == 1:
            continue
        torch.testing.assert_close(
            mine, theirs, msg=lambda m, t=t: f'{setting}, frame {t}: {m}'
        )


def test_a_new_size_after_reset():
    propagator = LabelPropagator(2, 3, 0.1, 2)
    for height, width in ((4, 6), (7, 3)):
        propagator.reset()
        features = F.normalize(torch.randn(1, 5, height, width), dim=1)
        propagator.step(features, torch.rand(1, 2, height, width))
        assert propagator.step(features).shape == (1, 2, height, width)


def test_a_bank_in_half_precision_stays_near():
    """bfloat16 products with candidates scored again in fp32."""
    torch.manual_seed(0)
    forms = [
        LabelPropagator(3, 5, 0.1, 4),
        LabelPropagator(3, 5, 0.1, 4, compute_dtype='bfloat16'),
    ]
    labels = torch.rand(1, 3, 9, 11)
    for t in range(8):
        features = F.normalize(torch.randn(1, 64, 9, 11), dim=1)
        exact, half = (
            f.step(features, labels if t == 0 else None) for f in forms
        )
        assert (exact - half).abs().mean() < 1e-3
