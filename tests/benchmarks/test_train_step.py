"""The training step benchmark compares the same step."""

import argparse

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
    monkeypatch.setattr(train_step, 'BF16OptimWrapper', OptimWrapper)
    steps, losses = train_step.build_steps(3, 64, 'cpu', seed=0)
    for step in steps.values():
        step()
        step()
    assert losses['plain'][0] != losses['plain'][1]
    # The first step is exact; Adam then magnifies rounding.
    assert losses['lean'][0] == pytest.approx(losses['plain'][0], abs=1e-4)
    assert losses['lean'][1] == pytest.approx(losses['plain'][1], abs=5e-2)


def test_report_and_its_mark():
    parser = argparse.ArgumentParser()
    train_step.add_arguments(parser)
    args = parser.parse_args(['--samples', '2', '--size', '32'])
    vars(args).update(device='cpu', quick=True, repeats=1, threads=1)
    report = train_step.run(args)
    plain, lean = report.rows
    assert (plain['what'], lean['what']) == ('plain', 'lean')
    assert lean['images/s'] == pytest.approx(2 / lean['s'])
    (mark,) = report.marks
    assert mark.bound == 2.3
    assert mark.value == pytest.approx(plain['s'] / lean['s'])
    assert plain['first loss'] != lean['first loss']  # bf16 was really used
