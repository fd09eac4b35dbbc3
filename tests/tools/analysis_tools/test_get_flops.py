"""Counts that can be made by hand."""

import pytest

from hvc_mm.registry import MODELS

PARTS = dict(hidden_channels=16, out_channels=8)
HVC = dict(
    type='HVC',
    backbone=dict(type='HVCResNet', depth=18, out_indices=(0,)),
    projector=dict(type='ConvProjector', in_channels=64, **PARTS),
    predictor=dict(type='ConvProjector', in_channels=8, **PARTS),
    flow_head=dict(type='PseudoFlowHead', in_channels=8, hidden_channels=4),
    loss=dict(type='HybridCorrespondenceLoss'),
    data_preprocessor=dict(mean=[0.0] * 3, std=[1.0] * 3),
)
VOS = dict(
    type='LabelPropagationVOS',
    backbone=dict(type='HVCResNet', depth=18, out_indices=(0,)),
)


@pytest.fixture
def run(call_tool, tmp_path, capsys):
    def call(model, *arguments):
        file = tmp_path / 'config.py'
        file.write_text(f"default_scope = 'hvc_mm'\nmodel = {model!r}\n")
        call_tool('analysis_tools/get_flops.py', file, *arguments)
        return capsys.readouterr().out

    return call


def multiply_adds_of_layer1(height, width):
    """Stem 7x7 at stride 2, then four 3x3 convolutions at stride 4."""
    stem = 3 * 64 * 49 * (height // 2) * (width // 2)
    return stem + 4 * 64 * 64 * 9 * (height // 4) * (width // 4)


def number_in(text, name):
    """The figure behind 'name: ', in millions."""
    figure = text.split(f'{name}: ')[1].split()[0]
    factor = {'M': 1, 'G': 1e3, 'K': 1e-3}[figure[-1]]
    return float(figure[:-1]) * factor


def test_backbone_of_a_propagation_model(run):
    text = run(VOS, '--shape', '64', '96')
    wanted = multiply_adds_of_layer1(64, 96) / 1e6
    assert number_in(text, 'multiply-adds') == pytest.approx(wanted, rel=0.05)
    backbone = MODELS.build(VOS).backbone
    parameters = sum(p.numel() for p in backbone.parameters()) / 1e6
    assert number_in(text, 'parameters') == pytest.approx(parameters, rel=0.01)
    assert '64x96' in text


def test_online_network_of_hvc(run):
    text = run(HVC, '--shape', '64', '--table')
    convs = 64 * 16 + 16 * 16 + 16 * 8  # projector
    convs += 8 * 16 + 16 * 16 + 16 * 8  # predictor
    convs += 2 * 8 * 4 + 2 * 4 * 2  # flow head, both directions
    wanted = multiply_adds_of_layer1(64, 64) + 256 * convs
    assert number_in(text, 'multiply-adds') == pytest.approx(
        wanted / 1e6, rel=0.05
    )
    assert 'flow_head' in text and '64x64' in text


def test_other_models_are_refused(run):
    with pytest.raises(SystemExit, match='not HVCResNet'):
        run(VOS['backbone'])
