"""The training step benchmark compares the same step."""

import argparse
from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import OptimWrapper

from hvc_mm.benchmarks import train_step


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_in_fp32_both_forms_are_the_same_step(monkeypatch):
    box = torch.tensor([[0.1, 0.2, 0.8, 0.9]]).repeat(3, 1)
    monkeypatch.setattr(train_step, 'coco_like_boxes', lambda n: (box, box))
    monkeypatch.setattr(
        train_step, 'BF16OptimWrapper', lambda adam, **_: OptimWrapper(adam)
    )
    steps = train_step.build_steps(3, 64, 'cpu', seed=0)
    losses = {name: step.losses for name, step in steps.items()}
    for step in steps.values():
        step()
        step()
    assert losses['plain'][0] != losses['plain'][1]
    # The first step is exact; Adam then magnifies rounding.
    assert losses['lean'][0] == pytest.approx(losses['plain'][0], abs=1e-4)
    assert losses['lean'][1] == pytest.approx(losses['plain'][1], abs=5e-2)


def test_a_step_holds_weights_target_and_moments():
    steps = train_step.build_steps(2, 32, 'cpu', seed=0)
    lean = steps['lean']
    weights = sum(4 * p.numel() for p in lean.model.parameters())
    trained = [p for p in lean.model.parameters() if p.requires_grad]
    before = lean.held()
    assert weights < before < 1.01 * weights
    lean()
    moments = 2 * sum(4 * p.numel() for p in trained)
    assert 0 <= lean.held() - before - moments < 1000  # Adam counts steps


def run(**options):
    parser = argparse.ArgumentParser()
    train_step.add_arguments(parser)
    args = parser.parse_args([f'--{k}={v}' for k, v in options.items()])
    vars(args).update(device='cpu', quick=True, repeats=1)
    return train_step.run(args)


def test_report_and_its_figure():
    report = run(samples=2, size=32, threads=1)
    plain, lean = report.rows
    assert (plain['what'], lean['what']) == ('plain', 'lean')
    assert lean['images/s'] == pytest.approx(2 / lean['s'])
    (mark,) = report.marks
    assert mark.value == pytest.approx(plain['s'] / lean['s'])


@pytest.mark.parametrize(
    'options, has_bf16, bound',
    [
        (dict(samples=8, size=256, threads=2), True, 2.3),
        (dict(samples=8, size=256, threads=2), False, None),
        (dict(size=256, threads=2), True, None),  # --quick: 2
        (dict(samples=8, size=128, threads=2), True, None),
        (dict(samples=8, size=256, threads=1), True, None),
    ],
)
def test_the_mark_is_for_eight_samples_on_two_threads_with_bf16(
    options, has_bf16, bound, monkeypatch
):
    class Step:
        losses = (0.0,)
        wrapper = SimpleNamespace(enabled=has_bf16)

    threads = []

    def measured(steps, repeats, device):
        threads.append(torch.get_num_threads())
        return dict.fromkeys(steps, 1.0), {'plain': 2.0, 'lean': 1.0}

    monkeypatch.setattr(
        train_step,
        'build_steps',
        lambda *_: {'plain': Step(), 'lean': Step()},
    )
    monkeypatch.setattr(train_step, 'peaks_and_times', measured)
    report = run(**options)
    assert threads == [options['threads']]
    assert torch.get_num_threads() == 1
    assert report.marks[0].bound == bound
    assert report.missed is (bound is not None)
    assert any('no bfloat16 units' in n for n in report.notes) != has_bf16
