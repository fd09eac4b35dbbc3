import pytest
import torch
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS as ROOT
from mmengine.structures import BaseDataElement
from torch import nn

from hvc_mm.bridges import WithHVCLoss
from hvc_mm.models import HVCResNet

AUXILIARY = dict(
    projector=dict(in_channels=64, hidden_channels=8, out_channels=8),
    predictor=dict(in_channels=8, hidden_channels=8, out_channels=8),
    flow_head=dict(in_channels=8, hidden_channels=8),
    loss=dict(pos_radius=0.9),
    target=dict(total_steps=10),
    view_size=32,
)


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


def _build(**kwargs):
    torch.manual_seed(0)
    model = dict(type='mmengine.HostOfTheTest')
    return WithHVCLoss(model, **{'auxiliary': AUXILIARY, **kwargs})


def _batch():
    samples = [BaseDataElement(metainfo=dict(label=i)) for i in (0, 1)]
    samples[1].set_metainfo(dict(img_shape=(40, 50)))
    images = torch.randint(0, 256, (2, 3, 48, 64), dtype=torch.uint8)
    return dict(inputs=list(images), data_samples=samples)


def test_losses_of_both():
    torch.manual_seed(1)
    batch = _batch()
    data = _build().data_preprocessor(batch, training=True)
    model = _build(weight=0.5)
    losses = model(**data, mode='loss')
    assert set(losses) == {'loss_cls', 'loss_hvc_static', 'loss_hvc_dynamic'}
    host = _build().model(**data, mode='loss')['loss_cls']
    torch.testing.assert_close(losses['loss_cls'], host)
    assert all(losses[n].requires_grad for n in losses)
    assert -2 <= losses['loss_hvc_static'] <= 2


def test_weight():
    data = _build().data_preprocessor(_batch(), training=True)
    values = []
    for weight in (1.0, 0.25):
        model = _build(weight=weight)
        torch.manual_seed(0)
        values.append(model(**data, mode='loss')['loss_hvc_static'])
    torch.testing.assert_close(values[0] * 0.25, values[1])
    assert values[0] != 0


def test_one_step_of_training_moves_everything():
    model = _build()
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    before = {n: p.clone() for n, p in model.named_parameters()}
    log = model.train_step(_batch(), wrapper)
    assert {'loss', 'loss_cls', 'loss_hvc_static'} <= set(log)
    for name in (
        'model.head.weight',
        'model.backbone.conv1.weight',
        'auxiliary.projector.conv1.weight',
        'auxiliary.flow_head.conv1.weight',
    ):
        after = dict(model.named_parameters())[name]
        assert not torch.equal(after, before[name]), name


def test_predictions_are_the_hosts():
    model = _build().eval()
    data = model.data_preprocessor(_batch())
    for mode in ('predict', 'tensor'):
        with torch.no_grad():
            assert torch.equal(
                model(**data, mode=mode), model.model(**data, mode=mode)
            )
    assert int(model.auxiliary.target.steps) == 0


def test_resumes_with_its_target():
    model, other = _build(), _build()
    model(**model.data_preprocessor(_batch(), True), mode='loss')
    other.load_state_dict(model.state_dict())
    assert int(other.auxiliary.target.steps) == 1


def test_only_the_host_owns_the_backbone():
    names = [
        n for n in _build().state_dict() if n.endswith('layer1.0.bn1.bias')
    ]
    assert names == [
        'model.backbone.layer1.0.bn1.bias',
        'auxiliary.target.module.backbone.layer1.0.bn1.bias',
    ]


def test_a_host_without_a_backbone():
    with pytest.raises(ValueError, match='HostOfTheTest has no backbone'):
        WithHVCLoss(
            dict(type='mmengine.HostOfTheTest', with_backbone=False),
            AUXILIARY,
        )
