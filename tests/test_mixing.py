"""HVC's parts under other projects' models, and theirs under HVC's."""

import copy
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope, init_default_scope
from mmengine.runner import Runner

from hvc_mm.models import HVCResNet
from hvc_mm.structures import VOSDataSample

MIXED = Path(__file__).parents[1] / 'configs' / 'mixed'
PROPAGATOR = dict(radius=3, topk=5, context=3)


@pytest.fixture(autouse=True)
def _own_scope():
    """Leave the scope that the tests before and after rely on."""
    with DefaultScope.overwrite_default_scope('hvc_mm'):
        yield


def _small_detector(name, shared_dir, work_dir, checkpoint=None):
    """A config of configs/mixed, cut down to one iteration of seconds."""
    cfg = Config.fromfile(MIXED / name)
    model = cfg.model
    model.backbone.init_cfg = checkpoint and dict(
        type='hvc_mm.weights.PretrainedBackbone', checkpoint=str(checkpoint)
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


def _clip(frames=3, size=(48, 64)):
    """A bright square on noise that moves right by 8 pixels a frame."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(3, *size, generator=generator) * 60
    texture = torch.rand(3, 16, 16, generator=generator) * 100 + 150
    images, masks = [], []
    for index in range(frames):
        image, mask = noise.clone(), torch.zeros(size, dtype=torch.uint8)
        left = 16 + 8 * index
        image[:, 16:32, left : left + 16] = texture
        mask[16:32, left : left + 16] = 1
        images.append(image.to(torch.uint8))
        masks.append(mask)
    return images, masks


def _samples(masks):
    samples = []
    for index, mask in enumerate(masks):
        sample = VOSDataSample(
            metainfo=dict(
                video='square',
                frame_index=index,
                frame_name=f'{index:05d}',
                video_length=len(masks),
                starts_video=index == 0,
                ori_shape=tuple(mask.shape),
            )
        )
        if index == 0:
            sample.prompt_ids = mask
        samples.append(sample)
    return samples


def _carried_iou(cfg):
    """Mean IoU of the square after the first frame, under a model config."""
    torch.manual_seed(0)
    model = MODELS.build(cfg).eval()
    images, masks = _clip()
    data = dict(inputs=images, data_samples=_samples(masks))
    with torch.no_grad():
        results = model.test_step(data)
    overlaps = []
    for sample, mask in zip(results[1:], masks[1:]):
        predicted, truth = sample.pred_ids.bool(), mask.bool()
        overlaps.append((predicted & truth).sum() / (predicted | truth).sum())
    return float(torch.stack(overlaps).mean())


@pytest.mark.mmdet
@pytest.mark.parametrize('scope', ['hvc_mm', 'mmdet'])
@pytest.mark.parametrize(
    'backbone',
    [
        dict(type='mmdet.ResNet', depth=18, out_indices=(1,)),
        dict(type='mmcls.ResNet', depth=18, out_indices=(1,)),
    ],
)
def test_foreign_backbones_carry_masks(backbone, scope):
    pytest.importorskip(backbone['type'].split('.')[0])
    init_default_scope(scope)
    cfg = dict(
        # The scope of what stands inside, whatever the config's own is.
        _scope_='hvc_mm',
        type='LabelPropagationVOS',
        backbone=backbone,
        propagator=dict(PROPAGATOR, radius=4),
    )
    assert _carried_iou(cfg) > 0.5
