import pytest
import torch
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS as ROOT
from mmengine.structures import BaseDataElement
from torch import nn

import hvc_mm.bridges
from hvc_mm.models import HVC, HVCResNet, WithHVCLoss
from hvc_mm.models.selfsup import HVCAuxiliaryLoss
from hvc_mm.structures import PairedViewSample

SMALL = dict(hidden_channels=8, out_channels=8)
PARTS = dict(
    projector=dict(in_channels=64, **SMALL),
    predictor=dict(in_channels=8, **SMALL),
    flow_head=dict(in_channels=8, hidden_channels=8),
    # Most cells have a partner, so that no loss is zero by chance.
    loss=dict(pos_radius=0.9),
    target=dict(total_steps=10),
)
SIZES = [(48, 64), (40, 50)]


@ROOT.register_module(force=True)
class HostOfTheTest(BaseModel):
    """A classifier of two classes, as some other project has it."""

    def __init__(self, with_backbone=True):
        super().__init__(
            dict(
                type='mmengine.ImgDataPreprocessor',
                mean=[127.5] * 3,
                std=[60.0] * 3,
            )
        )
        if with_backbone:
            self.backbone = HVCResNet(18, out_indices=(0,))
        self.head = nn.Linear(64, 2)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        scores = self.head(self.backbone(inputs)[-1].mean((2, 3)))
        if mode == 'loss':
            labels = torch.tensor([s.label for s in data_samples])
            return {'loss_cls': nn.functional.cross_entropy(scores, labels)}
        return scores


@pytest.fixture
def backbone():
    torch.manual_seed(0)
    return HVCResNet(18, out_indices=(0,))


@pytest.fixture
def images():
    return torch.randn(
        2, 3, 48, 64, generator=torch.Generator().manual_seed(2)
    )


def _auxiliary(backbone, **kwargs):
    torch.manual_seed(1)
    return HVCAuxiliaryLoss(backbone, **{'view_size': 32, **PARTS, **kwargs})


def _build(**kwargs):
    torch.manual_seed(0)
    host = dict(type='mmengine.HostOfTheTest')
    return WithHVCLoss(host, dict(PARTS, view_size=32), **kwargs)


def _batch():
    torch.manual_seed(1)
    samples = [BaseDataElement(metainfo=dict(label=i)) for i in (0, 1)]
    samples[1].set_metainfo(dict(img_shape=(40, 50)))
    images = torch.randint(0, 256, (2, 3, 48, 64), dtype=torch.uint8)
    return dict(inputs=list(images), data_samples=samples)


def test_is_the_loss_of_pretraining(backbone, images):
    auxiliary = _auxiliary(backbone)
    model = HVC(
        backbone=dict(type='hvc_mm.HVCResNet', depth=18, out_indices=(0,)),
        data_preprocessor=dict(type='mmengine.BaseDataPreprocessor'),
        **PARTS,
    )
    own = dict(backbone.state_dict(prefix='backbone.'))
    model.load_state_dict({**own, **auxiliary.state_dict()})
    torch.manual_seed(3)
    losses = auxiliary(backbone, images, SIZES)
    torch.manual_seed(3)
    (view1, box1), (view2, box2) = (
        auxiliary._draw_views(images, SIZES) for _ in range(2)
    )
    samples = [
        PairedViewSample(metainfo=dict(box1=a.numpy(), box2=b.numpy()))
        for a, b in zip(box1, box2)
    ]
    wanted = model.loss([view1, view2], samples)
    assert set(losses) == set(wanted) == {'loss_static', 'loss_dynamic'}
    for name, value in wanted.items():
        assert value != 0
        torch.testing.assert_close(losses[name], value)


def test_views_show_what_their_boxes_say(backbone):
    auxiliary = _auxiliary(backbone)
    assert (auxiliary.scale, auxiliary.ratio) == ((0, 1), (3 / 4, 4 / 3))
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
        assert 0 <= x1 <= x2 <= 1 and 0 <= y1 <= y2 <= 1
        middle = views[0, :2].mean((1, 2))
        centre = torch.stack([(x1 + x2) / 2, (y1 + y2) / 2])
        torch.testing.assert_close(middle, centre, atol=0.01, rtol=0)
        assert views[0, 2].abs().max() == 0


@pytest.mark.parametrize('size', [(1, 64), (48, 1)])
def test_an_image_one_pixel_high_or_wide_is_refused(backbone, images, size):
    """It used to draw crops for ever."""
    message = f'an image of {size[1]}x{size[0]} pixels'
    with pytest.raises(ValueError, match=message):
        _auxiliary(backbone)(backbone, images, [(48, 64), size])


def test_small_crops_end_too(backbone, images):
    auxiliary = _auxiliary(backbone, scale=(0.0, 0.001))
    losses = auxiliary(backbone, images, [(10, 12), (3, 4)])
    assert all(value.isfinite() for value in losses.values())


def test_other_map_of_the_backbone(images):
    backbone = HVCResNet(18, out_indices=(0, 1))
    assert _auxiliary(backbone, feature_index=0)(backbone, images, SIZES)


def test_bad_arguments(backbone):
    with pytest.raises(ValueError, match='view_size is 0'):
        _auxiliary(backbone, view_size=0)
    host = dict(type='mmengine.HostOfTheTest', with_backbone=False)
    with pytest.raises(ValueError, match='HostOfTheTest has no backbone'):
        WithHVCLoss(host, PARTS)


def test_losses_of_both_and_their_weight():
    data = _build().data_preprocessor(_batch(), training=True)
    found = []
    for weight in (1.0, 0.25):
        model = _build(weight=weight)
        torch.manual_seed(0)
        found.append(model(**data, mode='loss'))
    names = {'loss_cls', 'loss_hvc_static', 'loss_hvc_dynamic'}
    assert set(found[0]) == names
    host = _build().model(**data, mode='loss')['loss_cls']
    torch.testing.assert_close(found[1]['loss_cls'], host)
    for name in names - {'loss_cls'}:
        whole, part = found[0][name], found[1][name]
        assert whole != 0 and part.requires_grad
        torch.testing.assert_close(whole * 0.25, part)


def test_one_step_of_training_moves_everything():
    model = _build()
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    before = {n: p.clone() for n, p in model.named_parameters()}
    seen = []
    model.auxiliary.register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[-1])
    )
    log = model.train_step(_batch(), wrapper)
    assert seen == [SIZES]
    assert {'loss', 'loss_cls', 'loss_hvc_static'} <= set(log)
    for name in (
        'model.head.weight',
        'model.backbone.conv1.weight',
        'auxiliary.projector.conv1.weight',
        'auxiliary.predictor.conv1.weight',
        'auxiliary.flow_head.conv1.weight',
    ):
        assert not torch.equal(model.get_parameter(name), before[name]), name
    auxiliary, backbone = model.auxiliary, model.model.backbone
    assert not any(p.requires_grad for p in auxiliary.target.parameters())
    own = {id(p) for p in auxiliary.parameters()}
    assert not own & {id(p) for p in backbone.parameters()}
    other = _build()
    other.load_state_dict(model.state_dict())
    assert int(other.auxiliary.target.steps) == 1


def test_predictions_are_the_hosts():
    model = _build().eval()
    data = model.data_preprocessor(_batch())
    for mode in ('predict', 'tensor'):
        with torch.no_grad():
            assert torch.equal(
                model(**data, mode=mode), model.model(**data, mode=mode)
            )
    assert int(model.auxiliary.target.steps) == 0


@pytest.mark.parametrize('name', ['HVCAuxiliaryLoss', 'WithHVCLoss'])
def test_the_old_import_path_warns(name):
    with pytest.warns(DeprecationWarning, match=f'{name} has moved'):
        assert getattr(hvc_mm.bridges, name) is globals()[name]
