import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS, DefaultScope, init_default_scope
from mmengine.runner import Runner

from hvc_mm.checkpoint import CheckpointError
from hvc_mm.models import HVCResNet
from hvc_mm.structures import PairedViewSample, VOSDataSample

MIXED = Path(__file__).parents[1] / 'configs' / 'mixed'
PROPAGATOR = dict(radius=4, topk=5, context=3)


@pytest.fixture(autouse=True)
def _own_scope():
    """Leave the scope that the tests before and after rely on."""
    with DefaultScope.overwrite_default_scope('hvc_mm'):
        yield


def _small_detector(name, shared_dir, work_dir, checkpoint=None):
    """A config of configs/mixed, cut down to one iteration of seconds."""
    cfg = Config.fromfile(MIXED / name)
    # An auxiliary loss has the detector inside.
    model = cfg.model.get('model', cfg.model)
    model.backbone.init_cfg = checkpoint and dict(
        type='hvc_mm.PretrainedBackbone', checkpoint=str(checkpoint)
    )
    model.neck.out_channels = 16
    model.rpn_head.in_channels = model.rpn_head.feat_channels = 16
    roi_head = model.roi_head
    roi_head.bbox_roi_extractor.out_channels = 16
    roi_head.bbox_head.in_channels = 16
    roi_head.bbox_head.fc_out_channels = 16
    if 'mask_head' in roi_head:
        roi_head.mask_roi_extractor.out_channels = 16
        roi_head.mask_head.in_channels = 16
        roi_head.mask_head.conv_out_channels = 16
    loader = cfg.train_dataloader
    loader.num_workers = 0
    loader.persistent_workers = False
    loader.dataset.data_root = str(shared_dir / 'data' / 'coco128')
    loader.dataset.indices = 2
    for step in loader.dataset.pipeline:
        if step.type == 'Resize':
            step.scale = (128, 96)
    cfg.merge_from_dict(
        dict(
            work_dir=str(work_dir),
            train_cfg=dict(
                _delete_=True, type='IterBasedTrainLoop', max_iters=1
            ),
            val_cfg=None,
            val_dataloader=None,
            val_evaluator=None,
            log_processor=dict(by_epoch=False),
            default_hooks=dict(checkpoint=None, logger=dict(interval=1)),
            visualizer=dict(vis_backends=[]),
            experiment_name=f'{Path(name).stem}-{work_dir.name}',
        )
    )
    # Nothing is drawn, and its visualizer has nowhere to write.
    del cfg.default_hooks.visualization
    return cfg


def _losses(runner):
    """The last logged value of every loss."""
    scalars = runner.message_hub.log_scalars
    return {
        name[len('train/') :]: scalars[name].current()
        for name in scalars
        if 'loss' in name
    }


@pytest.mark.mmdet
@pytest.mark.parametrize(
    'name, depth',
    [('faster-rcnn_hvc-r18_coco.py', 18), ('mask-rcnn_hvc-r50_coco.py', 50)],
)
def test_detectors_train_from_a_checkpoint_of_pretraining(
    name, depth, shared_dir, tmp_path
):
    torch.manual_seed(5)
    state = HVCResNet(depth).state_dict()
    checkpoint = tmp_path / 'epoch_20.pth'
    content = {f'backbone.{k}': v for k, v in state.items()}
    torch.save({'state_dict': content, 'meta': {'epoch': 20}}, checkpoint)
    cfg = _small_detector(name, shared_dir, tmp_path, checkpoint)
    assert cfg.default_scope == 'mmdet' and 'custom_imports' not in cfg
    runner = Runner.from_cfg(cfg)
    # What the first image meets: training begins with init_weights.
    seen = []

    def note(module, inputs):
        if not seen:
            seen.append(copy.deepcopy(module.state_dict()))

    backbone = runner.model.backbone
    backbone.register_forward_pre_hook(note)
    runner.train()
    assert all(torch.equal(seen[0][name], state[name]) for name in state)
    losses = _losses(runner)
    names = {'loss_rpn_cls', 'loss_rpn_bbox', 'loss_cls', 'loss'}
    assert names <= set(losses) and ('loss_mask' in losses) == ('mask' in name)
    assert all(0 <= value < 100 for value in losses.values()), losses
    after = backbone.state_dict()
    # The last batch norm starts at zero here, where it gets a gradient.
    last = f'layer4.{1 if depth == 18 else 2}.bn{2 if depth == 18 else 3}'
    for moved in ('conv1.weight', f'{last}.weight'):
        assert not torch.equal(after[moved], state[moved])
    # norm_eval: the statistics of pre-training stay.
    assert torch.equal(after['bn1.running_mean'], state['bn1.running_mean'])


@pytest.mark.mmdet
def test_a_config_without_its_checkpoint_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cfg = Config.fromfile(MIXED / 'faster-rcnn_hvc-r18_coco.py')
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        backbone = MODELS.build(cfg.model.backbone)
        with pytest.raises(CheckpointError, match='epoch_20.pth: there is no'):
            backbone.init_weights()


@pytest.mark.mmdet
def test_hvc_loss_as_an_auxiliary_loss(shared_dir, tmp_path):
    name = 'faster-rcnn_hvc-loss_coco.py'
    cfg = _small_detector(name, shared_dir, tmp_path)
    cfg.model.auxiliary.view_size = 64
    # Few images and small maps: most cells shall have a partner.
    cfg.model.auxiliary.loss.pos_radius = 0.9
    runner = Runner.from_cfg(cfg)
    before = copy.deepcopy(runner.model.auxiliary.state_dict())
    runner.train()
    losses = _losses(runner)
    assert {'loss_rpn_cls', 'loss_hvc_static', 'loss_hvc_dynamic'} <= set(
        losses
    )
    assert -0.4 <= losses['loss_hvc_static'] <= 0.4
    assert losses['loss_hvc_static'] != 0
    assert losses['loss'] == pytest.approx(
        sum(v for k, v in losses.items() if k != 'loss'), abs=1e-3
    )
    after = runner.model.auxiliary.state_dict()
    assert int(after['target.steps']) == 1
    moved = 'projector.conv1.weight'
    assert not torch.equal(after[moved], before[moved])


def _video(frames=3, size=(48, 64)):
    """A bright square on noise that moves right by 8 pixels a frame."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(3, *size, generator=generator) * 60
    texture = torch.rand(3, 16, 16, generator=generator) * 100 + 150
    images, masks, samples = [], [], []
    for index in range(frames):
        image, mask = noise.clone(), torch.zeros(size, dtype=torch.uint8)
        left = 16 + 8 * index
        image[:, 16:32, left : left + 16] = texture
        mask[16:32, left : left + 16] = 1
        sample = VOSDataSample(
            metainfo=dict(starts_video=index == 0, ori_shape=size)
        )
        if index == 0:
            sample.prompt_ids = mask
        images.append(image.to(torch.uint8))
        masks.append(mask)
        samples.append(sample)
    return images, masks, samples


def _iou(**model):
    """Mean IoU of the square after the first frame."""
    torch.manual_seed(0)
    # The scope of what is inside, whatever the config's own is.
    scoped = dict(_scope_='hvc_mm', type='LabelPropagationVOS', **model)
    model = MODELS.build(dict(scoped, propagator=PROPAGATOR)).eval()
    images, masks, samples = _video()
    with torch.no_grad():
        results = model.test_step(dict(inputs=images, data_samples=samples))
    overlaps = []
    for sample, mask in zip(results[1:], masks[1:]):
        predicted, truth = sample.pred_ids.bool(), mask.bool()
        overlaps.append((predicted & truth).sum() / (predicted | truth).sum())
    return float(torch.stack(overlaps).mean())


STAGE_2 = dict(
    depth=18, out_indices=(1,), num_stages=2, strides=(1, 2), dilations=(1, 1)
)
CONVNEXT = dict(
    arch=dict(depths=[1, 1, 1, 1], channels=[16, 128, 16, 16]),
    out_indices=(1,),
    gap_before_final_norm=False,
)
FOREIGN = {
    'mmdet.ResNet': STAGE_2,
    'mmcls.ResNet': STAGE_2,
    'mmcls.ConvNeXt': CONVNEXT,
    # What became of it; it needs column b's mmcv.
    'mmpretrain.ConvNeXt': CONVNEXT,
    'hvc_mm.TorchvisionBackbone': dict(model='resnet18', nodes='layer2'),
    'hvc_mm.TimmBackbone': dict(
        model_name='vit_tiny_patch16_224',
        patch_stride=8,
        embed_dim=128,
        num_heads=4,
        depth=1,
    ),
}


@pytest.fixture(params=FOREIGN)
def foreign(request):
    """A config; skips where the project that it comes from is not there."""
    if request.param.startswith('mm'):
        pytest.importorskip(request.param.split('.')[0])
    if request.param.endswith('TimmBackbone'):
        pytest.importorskip('timm')
    return dict(copy.deepcopy(FOREIGN[request.param]), type=request.param)


@pytest.mark.parametrize('scope', ['hvc_mm', 'mmdet'])
def test_foreign_backbones_propagate_masks(foreign, scope):
    if scope == 'mmdet':
        pytest.importorskip('mmdet')
    init_default_scope(scope)
    assert _iou(backbone=foreign) > 0.5
    hvc = dict(type='HVCResNet', depth=18, out_indices=(1,))
    ensemble = dict(members=[hvc, foreign], weights=[1.05, 1.0])
    assert _iou(backbone=dict(type='FeatureEnsemble', **ensemble)) > 0.5


@pytest.mark.parametrize(
    'nodes, grid',
    [(('layer1', 'layer2'), (12, 16)), (('layer2', 'layer1'), (6, 8))],
)
def test_several_maps_at_once(nodes, grid):
    backbone = dict(type='TorchvisionBackbone', model='resnet18', nodes=nodes)
    cfg = dict(backbone=backbone, feature_index=(0, 1))
    model = MODELS.build(
        dict(cfg, type='hvc_mm.LabelPropagationVOS', _scope_='hvc_mm')
    )
    (features,) = model.eval().extract_feat([torch.rand(3, 48, 64)])
    # The grid of the first, the channels of both.
    assert features.shape == (1, 64 + 128, *grid)
    assert _iou(**cfg) > 0.5


def test_foreign_backbones_under_pretraining(foreign):
    cfg = Config.fromfile(MIXED.parent / '_base_' / 'models' / 'hvc_r18.py')
    model = dict(
        cfg.model,
        _scope_='hvc_mm',
        backbone=foreign,
        projector=dict(cfg.model.projector, in_channels=128),
        loss=dict(cfg.model.loss, pos_radius=0.9),
        target=dict(cfg.model.target, total_steps=2),
    )
    torch.manual_seed(0)
    model = MODELS.build(model)
    views = [torch.randint(0, 256, (2, 3, 64, 64)).byte() for _ in range(2)]
    box = np.array([0.1, 0.1, 0.9, 0.9], np.float32)
    boxes = dict(box1=box, box2=box + np.float32(0.05))
    samples = [PairedViewSample(metainfo=boxes) for _ in range(2)]
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    before = next(model.backbone.parameters()).clone()
    batch = dict(inputs=views, data_samples=samples)
    for _ in range(2):
        log = model.train_step(batch, wrapper)
    assert -4 <= log['loss_static'] < 0
    assert not torch.equal(next(model.backbone.parameters()), before)
    assert int(model.target.steps) == 2
