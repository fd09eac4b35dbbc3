"""The inference benchmark: both forms on the same frames."""

from argparse import Namespace

from hvc_mm.benchmarks import inference


def test_all_forms_give_the_same_masks(monkeypatch):
    monkeypatch.setattr(inference, 'SIZES', ((64, 96),))
    report = inference.run(Namespace(frames=2, quick=True, device='cpu'))
    plain, folded = report.rows
    assert plain['what'] == '64x96'
    assert folded['what'] == '64x96, folded batch norm'
    for row in report.rows:
        assert row['equal ids'] > 0.999
        assert 0 < row['ours s a frame'] < 60
        gain = row['dense s a frame'] / row['ours s a frame']
        assert row['time ratio'] == gain
    assert report.verdict().startswith('64x96 x') and not report.missed


def test_forms_are_what_they_say():
    models = {
        form: inference._model(changes)
        for form, changes in inference.FORMS.items()
    }
    kinds = [type(m.propagator).__name__ for m in models.values()]
    assert kinds == [
        'DenseLabelPropagator',
        'LabelPropagator',
        'LabelPropagator',
    ]
    folded = [model.fold_batch_norm for model in models.values()]
    assert folded == [False, False, True]
