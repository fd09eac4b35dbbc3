"""Training checkpoints of 0.1.0 keep their names, shapes and order.

The order counts too: an optimizer's state is stored by the index of the
parameter.
"""

from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import MODELS as ROOT
from torch import nn

from hvc_mm.models import HVCResNet
from hvc_mm.registry import MODELS


def convolution(name, shape, bias=True):
    return [(f'{name}.weight', shape)] + [(f'{name}.bias', shape[:1])] * bias


def norm(name, width):
    parameters = [(f'{name}.{p}', (width,)) for p in ('weight', 'bias')]
    buffers = [(f'{name}.running_{p}', (width,)) for p in ('mean', 'var')]
    return [*parameters, *buffers, (f'{name}.num_batches_tracked', ())]


def backbone(stages):
    names = convolution('conv1', (64, 3, 7, 7), False) + norm('bn1', 64)
    before = 64
    for stage in range(1, stages + 1):
        width = 32 * 2**stage
        for block in range(2):
            name = f'layer{stage}.{block}'
            for at, source in ((1, before), (2, width)):
                shape = width, source, 3, 3
                names += convolution(f'{name}.conv{at}', shape, False)
                names += norm(f'{name}.bn{at}', width)
            if before != width:
                shape = width, before, 1, 1
                names += convolution(f'{name}.downsample.0', shape, False)
                names += norm(f'{name}.downsample.1', width)
            before = width
    return names


def projector(source, hidden, out):
    return [
        *convolution('conv1', (hidden, source, 1, 1)),
        *norm('bn1', hidden),
        *convolution('conv2', (hidden, hidden, 1, 1)),
        *norm('bn2', hidden),
        *convolution('conv3', (out, hidden, 1, 1)),
    ]


def flow_head(source, hidden):
    return [
        *convolution('conv1', (hidden, 2 * source, 1, 1)),
        *norm('bn1', hidden),
        *convolution('conv2', (2, hidden, 1, 1)),
        *norm('bn2', 2),
    ]


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
    model = Config.fromfile(
        root_dir / 'configs/_base_/models/hvc_r18.py'
    ).model
    model.type = 'hvc_mm.HVC'
    networks = backbone(stages=4)
    wanted = under('backbone', networks) + parts(networks, 512, 256, 256)
    assert len(wanted) == 303
    assert_named(MODELS.build(model), wanted)


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
