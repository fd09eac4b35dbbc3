"""Everything a GPU works on is there, and the host seldom waits for it.

No GPU is needed: what is on `cuda` has a shape, a type and a device, by
torch's FakeTensorMode, and a tensor on the wrong one is torch's own error.
What is on the CPU is computed as ever. The stubs, all in fake_gpu.py:

- a copy to the CPU gives zeros, since there are no values to copy;
- a single value that is read (`item`, `tolist`, `bool`) is 1 or True, and
  `nonzero`, also of a mask as index, gives one index (`bincount` zeros,
  `repeat_interleave` one value): only these tell how the work would go on;
- `pin_memory` gives the tensor itself, because pinning asks the driver;
- `backward` walks the graph in Python, because autograd's engine asks the
  driver for the device's thread. The nodes are torch's and ours;
- `score_pairs` of the screened search is written with rows that are copied,
  because fake tensors can't be sparse;
- models are built on the GPU: `to` can't put a tensor without values in the
  place of a parameter's.
"""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.utils import digit_version

from hvc_mm.models.vos import (
    LabelPropagator,
    VideoStream,
    pair_scores,
    screened_search,
)
from hvc_mm.registry import MODELS, TASK_UTILS
from hvc_mm.structures import PairedViewSample, VOSDataSample

if digit_version(torch.__version__) < digit_version('2.14'):
    pytest.skip(
        f'fake tensors on cuda of torch {torch.__version__} ask for a driver, '
        'those of 2.14 do not',
        allow_module_level=True,
    )
sys.path.insert(0, str(Path(__file__).parent))
try:
    from fake_gpu import FakeGPU
finally:
    sys.path.pop(0)

FRAMES = 6
SIZE, INPUT = (48, 64), (64, 96)


def _build(cfg):
    with torch.device('cuda'):
        model = MODELS.build(cfg)
    model._set_device('cuda')
    return model


def _train(cfg, gpu, steps=2):
    """Take steps of training; give the model, and the waits of each."""
    model = _build(cfg)
    optim = OptimWrapper(torch.optim.Adam(model.parameters()))
    box = np.array([0, 0, 0.9, 0.9], np.float32)
    sample = PairedViewSample(metainfo=dict(box1=box, box2=box))
    views = [torch.zeros(2, 3, 64, 64, dtype=torch.uint8)] * 2
    waits = []
    for _ in range(steps):
        gpu.waits.clear()
        data = dict(inputs=views, data_samples=[sample] * 2)
        losses = model.train_step(data, optim)
        waits.append(gpu.waits.total())
    assert losses['loss'].is_cuda
    return model, waits


def test_a_training_step_never_waits(hvc_cfg):
    """Only the first one reads how many steps there were before."""
    with FakeGPU() as gpu:
        model, waits = _train(hvc_cfg, gpu, 3)
        trained = [p for p in model.parameters() if p.requires_grad]
        assert waits == [1, 0, 0]
        assert all(p.grad is None or p.grad.is_cuda for p in trained)
        steps = {name for name, p in model.named_parameters() if p.is_cuda}
        assert len(steps) == len([*model.parameters()])


def _samples(**prompts):
    """Frames' samples; objects begin on the first and the fourth frame."""
    meta = dict(ori_shape=SIZE, img_shape=INPUT, video='clip')
    samples = [
        VOSDataSample(metainfo=dict(meta, starts_video=t == 0, frame_name=t))
        for t in range(FRAMES)
    ]
    ids = torch.zeros(2, *SIZE, dtype=torch.uint8)
    ids[0, 5:20, 5:20], ids[1, 25:40, 5:20] = 2, 1
    samples[0].prompt_ids, samples[3].prompt_ids = ids
    return samples


def _scoped(model):
    backbone = dict(model['backbone'], type='hvc_mm.HVCResNet')
    return dict(model, type=f'hvc_mm.{model["type"]}', backbone=backbone)


def _test(cfg, gpu):
    """Segment a video; give each frame's waits."""
    model, waits = _build(cfg).eval(), []
    for sample in _samples():
        gpu.waits.clear()
        frame = torch.zeros(3, *INPUT, dtype=torch.uint8)
        data = dict(inputs=[frame], data_samples=[sample])
        (found,) = model.test_step(data)
        assert found.pred_ids.shape == SIZE and not found.pred_ids.is_cuda
        waits.append(gpu.waits.total())
    return waits


PROPAGATORS = [
    dict(radius=4, topk=5, context=3),
    dict(radius=2, topk=3, context=2, repeat_reference=False),
    dict(
        radius=2,
        topk=3,
        context=2,
        window='square',
        repeat_reference='latest',
        reference_in_window=True,
    ),
    dict(radius=None, topk=3, context=1),
]


@pytest.mark.parametrize('settings', PROPAGATORS)
def test_a_tested_frame_waits_once_for_its_mask(tiny_cfg, settings):
    cfg = _scoped(dict(tiny_cfg['model'], propagator=settings))
    with FakeGPU() as gpu:
        assert _test(cfg, gpu) == [1] * FRAMES


def test_products_in_half_precision_are_on_the_device(tiny_cfg, monkeypatch):
    """The search asks which queries rounding leaves open: it waits."""

    def score_pairs(queries, keys, counts, cells):
        row = torch.arange(len(queries), device=queries.device)
        row = row.repeat_interleave(counts, output_size=len(cells))
        return (queries[row] * keys.flatten(0, 2)[cells]).sum(dim=1)

    for module in (pair_scores, screened_search):
        monkeypatch.setattr(module, 'score_pairs', score_pairs)
    settings = dict(radius=2, topk=5, context=2, compute_dtype='bfloat16')
    cfg = _scoped(dict(tiny_cfg['model'], propagator=settings))
    with FakeGPU() as gpu:
        assert min(_test(cfg, gpu)[1:]) > 1


CODECS = [
    dict(type='MaskCodec'),
    dict(type='MaskCodec', with_confidence=True, stretch=True),
    dict(type='MaskCodec', cell_mean=True, decide_at_input=True),
    dict(type='MaskCodec', shrink='pil-nearest', enlarge='nearest'),
    dict(type='PartCodec'),
    dict(type='JointCodec'),
]


@pytest.mark.parametrize('cfg', CODECS, ids=lambda cfg: str([*cfg.values()]))
def test_every_codec_waits_once_for_a_prediction(cfg):
    codec = TASK_UTILS.build(dict(cfg, type=f'hvc_mm.{cfg["type"]}'))
    stream = VideoStream(LabelPropagator(4, 5, context=3), codec)
    samples = _samples()
    if cfg['type'] == 'JointCodec':
        for sample in samples:
            sample.pop('prompt_ids', None)
        samples[0].prompt_joints = torch.full((2, 4), 20.0)
    with FakeGPU() as gpu:
        for sample in samples:
            gpu.waits.clear()
            features = torch.ones(1, 8, 12, 16, device='cuda')
            stream.propagate(features, sample)
            assert gpu.waits == {'a copy to the host': 1}


def test_corrections_are_on_the_features_device():
    codec = TASK_UTILS.build(dict(type='hvc_mm.MaskCodec'))
    stream = VideoStream(LabelPropagator(4, 5, context=3), codec)
    samples = _samples()
    samples[2].corrections = {2: torch.ones(SIZE, dtype=torch.bool)}
    with FakeGPU():
        for sample in samples:
            features = torch.ones(1, 8, 12, 16, device='cuda')
            stream.propagate(features, sample)
    assert not samples[-1].pred_ids.is_cuda


# What would go unnoticed on a CPU. Each name is a function whose result is
# left as it is, but for zeros that were made without a device.
PLANTED = {
    'loss': 'losses.hybrid_correspondence_loss._rows',
    'propagator': 'vos.label_propagator.weighted_labels',
    'search': 'vos.windowed_search.topk_candidates',
    'codec': 'vos.mask_codec._resize',
    'model': 'vos.label_propagation_vos.unit_features',
    'preprocessor': 'data_preprocessors.Normalisation.normalise',
}


def _plant(monkeypatch, place, spoil):
    """Spoil what a function gives."""
    module, name = f'hvc_mm.models.{place}'.rsplit('.', 1)
    if module not in sys.modules:  # a method
        module, kind = module.rsplit('.', 1)
        owner = getattr(sys.modules[module], kind)
    else:
        owner = sys.modules[module]
    function = getattr(owner, name)

    def spoilt(*args, **kwargs):
        found = function(*args, **kwargs)
        if isinstance(found, tuple):
            return (spoil(found[0]), *found[1:])
        return spoil(found)

    monkeypatch.setattr(owner, name, spoilt)


def _run(place, gpu, tiny_cfg, hvc_cfg):
    """Train where the loss is spoilt, test where another part is."""
    if place == 'loss':
        return _train(hvc_cfg, gpu)[1]
    return _test(_scoped(tiny_cfg['model']), gpu)


@pytest.mark.parametrize('place', PLANTED)
def test_zeros_without_a_device_are_found(
    place, monkeypatch, tiny_cfg, hvc_cfg
):
    def spoil(found):
        return found + torch.zeros(found.shape[-1])

    _plant(monkeypatch, PLANTED[place], spoil)
    wrong = pytest.raises(
        RuntimeError, match='devices.*(cuda:0.*cpu|cpu.*cuda:0)'
    )
    with wrong, FakeGPU() as gpu:
        _run(place, gpu, tiny_cfg, hvc_cfg)


READS = {
    'item': lambda found: found.max().item(),
    'bool': lambda found: bool(found.any()),
    'tolist': lambda found: found.flatten()[:1].tolist(),
    'cpu': lambda found: found.cpu(),
    'copy to the host': lambda found: torch.ones(2, 3).copy_(found),
    'nonzero': lambda found: found.nonzero(),
    'mask': lambda found: found[found > 0],
    'repeat': lambda found: found[0].long().repeat_interleave(found[0].long()),
    'from the host': lambda found: torch.zeros(9).to(found.device),
    'new on the GPU': lambda found: torch.tensor([1], device=found.device),
    'assignment': lambda found: found[0].__setitem__(0, 2.0),
    'index on the host': lambda found: found[torch.tensor([0])],
}


@pytest.mark.parametrize('read', READS)
def test_what_makes_the_host_wait(read):
    with FakeGPU() as gpu:
        found = torch.zeros(2, 3, device='cuda')
        assert not gpu.waits
        READS[read](found)
        assert gpu.waits.total() == 1


def test_what_makes_nobody_wait():
    with FakeGPU() as gpu:
        found = torch.zeros(2, 3, device='cuda')
        found[:1] = 2.0
        found.add_(torch.zeros(2, 3).to('cuda', non_blocking=True))
        torch.where(found > 0, found, found.max()).sum()
        assert torch.zeros(3).nonzero().tolist() == []  # on the CPU
        assert not gpu.waits


@pytest.mark.parametrize('place', ['loss', 'propagator', 'codec', 'model'])
def test_one_more_wait_is_counted(place, monkeypatch, tiny_cfg, hvc_cfg):
    def spoil(found):
        found.max().item()
        return found

    _plant(monkeypatch, PLANTED[place], spoil)
    with FakeGPU() as gpu:
        waits = _run(place, gpu, tiny_cfg, hvc_cfg)
    assert waits[-1] > (0 if place == 'loss' else 1)
