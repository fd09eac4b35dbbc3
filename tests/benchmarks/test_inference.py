"""The inference benchmark: both forms on the same frames."""

from argparse import Namespace

from hvc_mm.benchmarks import inference


def test_both_forms_give_the_same_masks(monkeypatch):
    monkeypatch.setattr(inference, 'SIZES', ((64, 96),))
    report = inference.run(Namespace(frames=2, quick=True, device='cpu'))
    (row,) = report.rows
    assert row['what'] == '64x96'
    assert row['equal ids'] > 0.999
    assert 0 < row['ours s a frame'] < 60
    assert row['time ratio'] == row['dense s a frame'] / row['ours s a frame']
