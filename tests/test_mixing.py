"""HVC's parts under other projects' models, and theirs under HVC's."""

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
def test_detector_on_hvc_backbone_trains(shared_dir, tmp_path):
    cfg = _small_detector('faster-rcnn_hvc-r18_coco.py', shared_dir, tmp_path)
    assert 'custom_imports' not in cfg
    assert cfg.default_scope == 'mmdet'
    runner = Runner.from_cfg(cfg)
    backbone = runner.model.backbone
    assert isinstance(backbone, HVCResNet)
    before = copy.deepcopy(backbone.state_dict())
    runner.train()
    losses = _losses(runner)
    assert {'loss_rpn_cls', 'loss_rpn_bbox', 'loss_cls', 'loss'} <= set(losses)
    assert all(0 <= value < 100 for value in losses.values()), losses
    after = backbone.state_dict()
    assert not torch.equal(after['conv1.weight'], before['conv1.weight'])
    # The last block starts at zero here, where only this gets a gradient.
    last = 'layer4.1.bn2.weight'
    assert not torch.equal(after[last], before[last])
    # norm_eval: the statistics of pre-training stay.
    assert torch.equal(after['bn1.running_mean'], before['bn1.running_mean'])


@pytest.mark.mmdet
@pytest.mark.parametrize(
    'name, depth',
    [('faster-rcnn_hvc-r18_coco.py', 18), ('mask-rcnn_hvc-r50_coco.py', 50)],
)
def test_detectors_start_from_a_checkpoint_of_pretraining(
    name, depth, shared_dir, tmp_path
):
    torch.manual_seed(5)
    state = HVCResNet(depth).state_dict()
    checkpoint = tmp_path / 'epoch_20.pth'
    content = {f'backbone.{k}': v for k, v in state.items()}
    torch.save({'state_dict': content, 'meta': {'epoch': 20}}, checkpoint)
    cfg = _small_detector(name, shared_dir, tmp_path, checkpoint)
    runner = Runner.from_cfg(cfg)
    # What the first image meets: training begins with init_weights.
    seen = []

    def note(module, inputs):
        if not seen:
            seen.append(copy.deepcopy(module.state_dict()))

    runner.model.backbone.register_forward_pre_hook(note)
    runner.train()
    assert all(torch.equal(seen[0][name], state[name]) for name in state)
    assert 0 < _losses(runner)['loss'] < 100
    if 'mask' in name:
        assert _losses(runner)['loss_mask'] > 0


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


def _clip(frames=3, size=(48, 64)):
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
        images.append(image.to(torch.uint8))
        masks.append(mask)
        info = dict(starts_video=index == 0, ori_shape=size)
        samples.append(VOSDataSample(metainfo=info))
    samples[0].prompt_ids = masks[0]
    return images, masks, samples


def _propagated_iou(cfg):
    """Mean IoU of the square after the first frame, under a model config."""
    torch.manual_seed(0)
    model = MODELS.build(cfg).eval()
    images, masks, samples = _clip()
    data = dict(inputs=images, data_samples=samples)
    with torch.no_grad():
        results = model.test_step(data)
    overlaps = []
    for sample, mask in zip(results[1:], masks[1:]):
        predicted, truth = sample.pred_ids.bool(), mask.bool()
        overlaps.append((predicted & truth).sum() / (predicted | truth).sum())
    return float(torch.stack(overlaps).mean())


RESNET = dict(
    depth=18, out_indices=(1,), num_stages=2, strides=(1, 2), dilations=(1, 1)
)
CONVNEXT = dict(
    arch=dict(depths=[1, 1, 1, 1], channels=[16, 128, 16, 16]),
    out_indices=(1,),
    gap_before_final_norm=False,
)
FOREIGN = {
    'mmdet.ResNet': RESNET,
    'mmcls.ResNet': RESNET,
    'mmcls.ConvNeXt': CONVNEXT,
    # What became of it; it needs column b's mmcv.
    'mmpretrain.ConvNeXt': CONVNEXT,
    'hvc_mm.TorchvisionBackbone': dict(model='resnet18', nodes='layer2'),
}


def _needs(kind):
    """A backbone's config; skips where its project is not there."""
    pytest.importorskip(kind.split('.')[0])
    return dict(type=kind, **copy.deepcopy(FOREIGN[kind]))


def _vos(backbone, **options):
    return dict(
        # The scope of what is inside, whatever the config's own is.
        _scope_='hvc_mm',
        type='LabelPropagationVOS',
        backbone=backbone,
        propagator=dict(radius=4, topk=5, context=3),
        **options,
    )


@pytest.mark.parametrize('ensemble', [False, True])
@pytest.mark.parametrize('scope', ['hvc_mm', 'mmdet'])
@pytest.mark.parametrize('kind', FOREIGN)
def test_foreign_backbones_propagate_masks(kind, scope, ensemble):
    pytest.importorskip(scope)
    backbone = _needs(kind)
    if ensemble:
        own = dict(type='HVCResNet', depth=18, out_indices=(1,))
        backbone = dict(
            type='FeatureEnsemble', members=[own, backbone], weights=[1.05, 1]
        )
    init_default_scope(scope)
    assert _propagated_iou(_vos(backbone)) > 0.5


@pytest.mark.parametrize('nodes', [('layer1', 'layer2'), ('layer2', 'layer1')])
def test_several_stages_at_once(nodes):
    backbone = dict(type='TorchvisionBackbone', model='resnet18', nodes=nodes)
    cfg = _vos(backbone, feature_index=(0, 1))
    model = MODELS.build(cfg).eval()
    (features,) = model.extract_feat([torch.rand(3, 48, 64)])
    # The grid of the first, the channels of both.
    grid = (12, 16) if nodes[0] == 'layer1' else (6, 8)
    assert features.shape == (1, 64 + 128, *grid)
    assert _propagated_iou(cfg) > 0.5


@pytest.mark.parametrize('kind', FOREIGN)
def test_foreign_backbones_under_pretraining(kind, hvc_cfg):
    backbone = _needs(kind)
    hvc_cfg['loss']['pos_radius'] = 0.9
    hvc_cfg['target']['total_steps'] = 2
    torch.manual_seed(0)
    model = MODELS.build(dict(hvc_cfg, _scope_='hvc_mm', backbone=backbone))
    views = [torch.randint(0, 256, (2, 3, 64, 64)).byte() for _ in range(2)]
    box = np.array([0.1, 0.1, 0.9, 0.9], np.float32)
    samples = [
        PairedViewSample(metainfo=dict(box1=box, box2=box + np.float32(0.05)))
        for _ in range(2)
    ]
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    before = next(model.backbone.parameters()).clone()
    for _ in range(2):
        log = model.train_step(
            dict(inputs=views, data_samples=samples), wrapper
        )
    assert -4 <= log['loss_static'] < 0
    assert not torch.equal(next(model.backbone.parameters()), before)
    assert int(model.target.steps) == 2
