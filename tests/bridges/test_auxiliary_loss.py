import pytest
import torch

from hvc_mm.bridges import HVCAuxiliaryLoss
from hvc_mm.models import HVC, HVCResNet
from hvc_mm.structures import PairedViewSample

PARTS = dict(
    projector=dict(in_channels=64, hidden_channels=8, out_channels=8),
    predictor=dict(in_channels=8, hidden_channels=8, out_channels=8),
    flow_head=dict(in_channels=8, hidden_channels=8),
)
# Most bins have a partner, so that no loss is zero by chance.
LOSS = dict(pos_radius=0.9)
TARGET = dict(total_steps=10)


def _backbone():
    torch.manual_seed(0)
    return HVCResNet(18, out_indices=(0,))


def _build(backbone, **kwargs):
    torch.manual_seed(1)
    arguments = dict(loss=LOSS, target=TARGET, view_size=32, **PARTS)
    return HVCAuxiliaryLoss(backbone, **{**arguments, **kwargs})


def _images():
    return torch.randn(
        2, 3, 48, 64, generator=torch.Generator().manual_seed(2)
    )


def test_is_the_loss_of_pretraining():
    backbone = _backbone()
    auxiliary = _build(backbone)
    images, sizes = _images(), [(48, 64), (40, 50)]
    torch.manual_seed(3)
    losses = auxiliary(backbone, images, sizes)

    kinds = dict(
        projector='ConvProjector',
        predictor='ConvProjector',
        flow_head='PseudoFlowHead',
    )
    model = HVC(
        backbone=dict(type='hvc_mm.HVCResNet', depth=18, out_indices=(0,)),
        loss=dict(type='hvc_mm.HybridCorrespondenceLoss', **LOSS),
        target=dict(type='hvc_mm.CosineMomentumTarget', **TARGET),
        data_preprocessor=dict(type='mmengine.BaseDataPreprocessor'),
        **{k: dict(type=f'hvc_mm.{v}', **PARTS[k]) for k, v in kinds.items()},
    )
    own = _build(_backbone()).state_dict()
    backbone_state = _backbone().state_dict()
    model.load_state_dict(
        {**own, **{f'backbone.{k}': v for k, v in backbone_state.items()}},
    )
    torch.manual_seed(3)
    view1, box1 = auxiliary._draw_views(images, sizes)
    view2, box2 = auxiliary._draw_views(images, sizes)
    samples = [
        PairedViewSample(metainfo=dict(box1=a.numpy(), box2=b.numpy()))
        for a, b in zip(box1, box2)
    ]
    wanted = model.loss([view1, view2], samples)
    assert set(losses) == set(wanted) == {'loss_static', 'loss_dynamic'}
    for name, value in wanted.items():
        assert value != 0
        torch.testing.assert_close(losses[name], value)


def test_trains_backbone_and_own_parts_but_not_the_target():
    backbone = _backbone()
    auxiliary = _build(backbone)
    torch.manual_seed(0)
    losses = auxiliary(backbone, _images(), [(48, 64)] * 2)
    sum(losses.values()).backward()
    assert backbone.conv1.weight.grad.abs().sum() > 0
    for part in ('projector', 'predictor', 'flow_head'):
        grad = getattr(auxiliary, part).conv1.weight.grad
        assert grad.abs().sum() > 0, part
    assert all(p.grad is None for p in auxiliary.target.parameters())
    assert int(auxiliary.target.steps) == 1


def test_keeps_no_second_reference_to_the_hosts_backbone():
    backbone = _backbone()
    auxiliary = _build(backbone)
    auxiliary(backbone, _images(), [(48, 64)] * 2)
    mine = {id(p) for p in auxiliary.parameters()}
    assert not mine & {id(p) for p in backbone.parameters()}


def test_views_show_what_their_boxes_say():
    auxiliary = _build(_backbone())
    # Each pixel holds its own normalised place; the padding something else.
    height, width = 40, 50
    images = torch.full((1, 3, 48, 64), 9.0)
    images[0, 0, :height, :width] = torch.linspace(0, 1, width)
    images[0, 1, :height, :width] = torch.linspace(0, 1, height)[:, None]
    images[0, 2, :height, :width] = 0
    torch.manual_seed(1)
    for _ in range(20):
        views, boxes = auxiliary._draw_views(images, [(height, width)])
        assert views.shape == (1, 3, 32, 32) and boxes.shape == (1, 4)
        x1, y1, x2, y2 = boxes[0]
        assert 0 <= x1 < x2 <= 1 and 0 <= y1 < y2 <= 1
        middle = views[0, :2].mean((1, 2))
        centre = torch.stack([(x1 + x2) / 2, (y1 + y2) / 2])
        torch.testing.assert_close(middle, centre, atol=0.01, rtol=0)
        assert views[0, 2].abs().max() == 0


def test_other_map_of_the_backbone():
    backbone = HVCResNet(18, out_indices=(0, 1))
    projector = dict(PARTS['projector'], in_channels=64)
    auxiliary = _build(backbone, projector=projector, feature_index=0)
    assert auxiliary(backbone, _images(), [(48, 64)] * 2)


def test_bad_view_size():
    with pytest.raises(ValueError, match='view_size is 0'):
        _build(_backbone(), view_size=0)
