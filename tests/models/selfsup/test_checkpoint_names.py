"""Training checkpoints of 0.1.0 keep their names, shapes and order.

The order counts too: an optimizer's state is stored by the index of the
parameter.
"""

from collections import OrderedDict

from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import MODELS as ROOT
from torch import nn
from torchvision.models import resnet18

from hvc_mm.models import HVCResNet
from hvc_mm.registry import MODELS


def named(**layers):
    """Names and shapes of layers in this order."""
    state = nn.Sequential(OrderedDict(layers)).state_dict()
    return [(name, tuple(tensor.shape)) for name, tensor in state.items()]


def backbone(stages):
    last = 'conv1', 'bn1', *(f'layer{i + 1}' for i in range(stages))
    return named(**{n: m for n, m in resnet18().named_children() if n in last})


def projector(source, hidden, out):
    return named(
        conv1=nn.Conv2d(source, hidden, 1),
        bn1=nn.BatchNorm2d(hidden),
        conv2=nn.Conv2d(hidden, hidden, 1),
        bn2=nn.BatchNorm2d(hidden),
        conv3=nn.Conv2d(hidden, out, 1),
    )


def flow_head(source, hidden):
    return named(
        conv1=nn.Conv2d(2 * source, hidden, 1),
        bn1=nn.BatchNorm2d(hidden),
        conv2=nn.Conv2d(hidden, 2, 1),
        bn2=nn.BatchNorm2d(2),
    )


def under(prefix, names):
    return [(f'{prefix}.{name}', shape) for name, shape in names]


def parts(networks, source, hidden, out):
    """Projector, predictor, flow head and target."""
    own = projector(source, hidden, out)
    return [
        *under('projector', own),
        *under('predictor', projector(out, hidden, out)),
        *under('flow_head', flow_head(out, hidden)),
        ('target.steps', ()),
        *under('target.module.backbone', networks),
        *under('target.module.projector', own),
    ]


@ROOT.register_module(force=True)
class SmallHost(BaseModel):
    """Some other project's model."""

    def __init__(self):
        super().__init__()
        self.backbone = HVCResNet(18, out_indices=(0,))
        self.head = nn.Linear(64, 2)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        raise NotImplementedError


def assert_named(model, wanted):
    found = [(n, tuple(t.shape)) for n, t in model.state_dict().items()]
    assert found == wanted
    buffers = 'running_', 'num_batches', 'target.steps'
    trained = [n for n, _ in wanted if not any(b in n for b in buffers)]
    assert [name for name, _ in model.named_parameters()] == trained


def test_hvc(root_dir):
    config = Config.fromfile(root_dir / 'configs/_base_/models/hvc_r18.py')
    networks = backbone(stages=4)
    wanted = under('backbone', networks) + parts(networks, 512, 256, 256)
    assert len(wanted) == 303
    assert_named(MODELS.build(dict(config.model, type='hvc_mm.HVC')), wanted)


def test_with_hvc_loss():
    small = dict(in_channels=8, hidden_channels=8)
    config = dict(
        type='hvc_mm.WithHVCLoss',
        model=dict(type='mmengine.SmallHost'),
        auxiliary=dict(
            projector=dict(small, in_channels=64, out_channels=8),
            predictor=dict(small, out_channels=8),
            flow_head=small,
        ),
    )
    networks = backbone(stages=1)
    wanted = [
        *under('model.backbone', networks),
        ('model.head.weight', (2, 64)),
        ('model.head.bias', (2,)),
        *under('auxiliary', parts(networks, 64, 8, 8)),
    ]
    assert len(wanted) == 125
    assert_named(MODELS.build(config), wanted)
