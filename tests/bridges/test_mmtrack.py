"""The tracker in MMTracking's own scope, data, test loop and metric."""

import copy
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData

pytestmark = pytest.mark.mmtrack

CONFIG = Path(__file__).parents[2] / 'configs/mixed/mask-rcnn_hvc_ytvis.py'


@pytest.fixture(autouse=True)
def _scope():
    """As MMTracking's tool has it; the tests before and after have theirs."""
    with DefaultScope.overwrite_default_scope('mmtrack'):
        yield


@pytest.fixture(scope='module')
def ytvis(tmp_path_factory, squares):
    from mmtrack.datasets import YouTubeVISDataset

    YouTubeVISDataset.set_dataset_classes('2019')
    root = tmp_path_factory.mktemp('data') / 'youtube_vis_2019'
    return squares.write_ytvis(root, YouTubeVISDataset.METAINFO['CLASSES'])


@pytest.fixture
def cfg(ytvis, tmp_path, squares):
    """The shipped config, cut down."""
    cfg = squares.shrink(Config.fromfile(CONFIG), ytvis, tmp_path)
    for step in cfg.test_dataloader.dataset.pipeline:
        if step.type == 'mmdet.Resize':
            step.scale = (squares.WIDTH, squares.HEIGHT)
    return cfg


def test_shipped_config_builds_in_mmtracks_scope():
    from mmengine.registry import MODELS
    from mmtrack.models.mot import BaseMultiObjectTracker

    from hvc_mm.models import HVCResNet

    cfg = Config.fromfile(CONFIG)
    assert cfg.default_scope == 'mmtrack'
    cfg.model.detector.init_cfg = None
    cfg.model.detector.backbone.init_cfg = None
    cfg.model.carrier.backbone.init_cfg = None
    model = MODELS.build(cfg.model)
    assert isinstance(model, BaseMultiObjectTracker)
    assert type(model).__name__ == 'HVCInstanceTracker'
    assert type(model.detector).__name__ == 'MaskRCNN'
    assert model.detector.roi_head.bbox_head.num_classes == 80
    assert isinstance(model.carrier.backbone, HVCResNet)
    assert model.carrier.propagator.context == 50
    assert model.data_preprocessor.pad_size_divisor == 32


def test_label_map_joins_classes_of_one_name():
    from mmdet.datasets import CocoDataset
    from mmtrack.datasets import YouTubeVISDataset

    YouTubeVISDataset.set_dataset_classes('2019')
    theirs = YouTubeVISDataset.METAINFO['CLASSES']
    coco = (
        CocoDataset.METAINFO.get('classes') or CocoDataset.METAINFO['CLASSES']
    )
    renamed = {'car': 'sedan', 'motorcycle': 'motorbike'}
    label_map = Config.fromfile(CONFIG).model.label_map
    for source, target in label_map.items():
        name = coco[source].replace(' ', '_')
        assert renamed.get(name, name) == theirs[target]
    # COCO's mouse is no animal.
    both = {c.replace(' ', '_') for c in coco} & set(theirs) - {'mouse'}
    assert len(label_map) == len(both) + len(renamed)


def test_real_mask_rcnn_under_mmtracks_test_loop(cfg, squares):
    runner = squares.build(squares.untrained(cfg))
    seen = []
    predict = runner.model.predict

    def note(inputs, data_samples, **kwargs):
        results = predict(inputs, data_samples, **kwargs)
        seen.extend(copy.deepcopy(results))
        return results

    runner.model.predict = note
    metrics = runner.test()
    assert set(metrics) >= {'youtube_vis/segm_mAP', 'youtube_vis/segm_mAP_50'}
    squares.check_frames(seen)
    for sample in seen:
        is_key = sample.frame_id % 3 == 0
        assert ('pred_det_instances' in sample) == is_key
        assert 'pred_instances' not in sample
    # Its parts were initialised although mmengine's test loop doesn't.
    assert runner.model.detector.is_init


@pytest.mark.parametrize('every, frames', [(3, (0, 3)), (None, (0,))])
def test_exact_detections_are_propagated_and_keep_their_identity(
    cfg, tmp_path, squares, every, frames
):
    cfg.model.label_map, cfg.model.detect_every = None, every
    # MMTracking's own visualizer draws it all along.
    cfg.default_hooks.visualization.update(
        draw=True, interval=1, test_out_dir=str(tmp_path / 'vis')
    )
    cfg.visualizer.alpha = 0.5
    score, detector = squares.exact_run(cfg)
    # Half of IoU over the whole video, one identity for each object.
    assert score == 1
    assert detector.frames == [(v, f) for v in (1, 2) for f in frames]
    # Both videos have the same names of frames: the later one stays.
    pictures = sorted((tmp_path / 'vis').glob('*.png'))
    assert [p.stem for p in pictures] == [
        f'{i:05d}' for i in range(squares.FRAMES)
    ]
    # The plain frame on the left, predictions on the right.
    drawn = cv2.imread(str(pictures[3]))
    width = squares.WIDTH
    assert drawn.shape == (squares.HEIGHT, 2 * width, 3)
    # Drawing renders noise anew: its mean over a few pixels is what counts.
    drawn = cv2.blur(drawn, (7, 7)).astype(int)
    changed = np.abs(drawn[:, width:] - drawn[:, :width]).sum(2) > 30
    mask = squares.frame('two', 3)[1][0].astype(bool)
    assert changed[mask].mean() > 0.5 > changed[~mask].mean()


def test_without_matching_identities_break(cfg, squares):
    """The counterpart: what the score says when matching fails."""
    cfg.model.label_map = None
    # No propagated mask equals the new one, so that none is its
    # predecessor; each key frame begins other tracks.
    cfg.model.tracks.update(
        iou_thr=1.0, begin_iou_thr=1.0, max_unconfirmed=0, reid_thr=None
    )
    score, _ = squares.exact_run(cfg)
    assert score < 0.5


def test_propagation_gets_back_the_plain_image(cfg, squares):
    from mmengine.registry import MODELS
    from mmtrack.structures import TrackDataSample

    tracker = MODELS.build(cfg.model)
    size = squares.HEIGHT - 2, squares.WIDTH - 3
    image = torch.randint(0, 256, (1, 3, *size)).byte()
    sample = TrackDataSample(metainfo=dict(img_shape=size))
    sample.gt_instances = InstanceData()
    batch = dict(inputs=dict(img=[image]), data_samples=[sample])
    data = tracker.data_preprocessor(batch)
    padded = data['inputs']['img']
    assert padded.shape == (1, 1, 3, squares.HEIGHT, squares.WIDTH)
    raw = tracker._raw(padded[:, 0], size)
    torch.testing.assert_close(raw, image[0].float(), atol=1e-3, rtol=0)


def test_misuse(cfg):
    from mmengine.registry import MODELS

    tracker = MODELS.build(cfg.model)
    image = torch.zeros(2, 1, 3, 64, 96)
    with pytest.raises(ValueError, match='expected one frame.*batch_size=1'):
        tracker.predict(dict(img=image), [None, None])
    with pytest.raises(NotImplementedError, match='is not trained'):
        tracker(dict(img=image), [], mode='loss')
    detector = cfg.model.detector
    detector.type = 'FasterRCNN'
    del detector.roi_head['mask_head'], detector.roi_head['mask_roi_extractor']
    with pytest.raises(ValueError, match='FasterRCNN finds no masks'):
        MODELS.build(cfg.model)
