"""The tracker in MMTracking's own scope, data, test loop and metric."""

import copy
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from torch import nn

pytestmark = pytest.mark.mmtrack

CONFIG = Path(__file__).parents[2] / 'configs/mixed/mask-rcnn_hvc_ytvis.py'
HEIGHT, WIDTH = 64, 96
FRAMES = 6
# Class of each object by video, instead of YouTube-VIS's.
VIDEOS = {'one': (0, 7), 'two': (13,)}


@pytest.fixture(autouse=True)
def _scope():
    """As MMTracking's tool has it; the tests before and after have theirs."""
    with DefaultScope.overwrite_default_scope('mmtrack'):
        yield


def _frame(video, time):
    """An image of textured squares on noise, and their exact masks."""
    generator = torch.Generator().manual_seed(len(video) + ord(video[0]))
    image = torch.rand(HEIGHT, WIDTH, 3, generator=generator) * 60
    masks = []
    for index, _ in enumerate(VIDEOS[video]):
        texture = torch.rand(20, 20, 3, generator=generator) * 90 + 150
        texture[..., index] -= 140
        top = 4 + 36 * index
        left = 8 + 5 * time if index == 0 else 60 - 5 * time
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[top : top + 20, left : left + 20] = 1
        image[top : top + 20, left : left + 20] = texture
        masks.append(mask)
    return image.byte().numpy(), masks


@pytest.fixture(scope='module')
def ytvis(tmp_path_factory):
    """Two videos in YouTube-VIS's layout."""
    from mmtrack.datasets import YouTubeVISDataset
    from pycocotools import mask as coco_mask

    root = tmp_path_factory.mktemp('data') / 'youtube_vis_2019'
    YouTubeVISDataset.set_dataset_classes('2019')
    classes = YouTubeVISDataset.METAINFO['CLASSES']
    videos, images, annotations = [], [], []
    size = dict(height=HEIGHT, width=WIDTH)
    for video_id, (video, labels) in enumerate(VIDEOS.items(), start=1):
        folder = root / 'valid' / 'JPEGImages' / video
        folder.mkdir(parents=True)
        videos.append(dict(id=video_id, name=video, **size))
        for time in range(FRAMES):
            image, masks = _frame(video, time)
            name = f'{time:05d}.png'
            cv2.imwrite(str(folder / name), image)
            of_image = dict(video_id=video_id, **size)
            of_image['id'] = of_image['image_id'] = len(images) + 1
            images.append(
                dict(of_image, file_name=f'{video}/{name}', frame_id=time)
            )
            for index, (label, mask) in enumerate(zip(labels, masks)):
                rle = coco_mask.encode(np.asfortranarray(mask))
                of_object = dict(
                    id=len(annotations) + 1,
                    instance_id=10 * video_id + index,
                    category_id=label + 1,
                    bbox=coco_mask.toBbox(rle).tolist(),
                    area=int(mask.sum()),
                    segmentation=dict(rle, counts=rle['counts'].decode()),
                    iscrowd=0,
                )
                annotations.append({**of_image, **of_object})
    content = dict(videos=videos, images=images, annotations=annotations)
    content['categories'] = [
        dict(id=i, name=name) for i, name in enumerate(classes, start=1)
    ]
    file = root / 'annotations' / 'youtube_vis_2019_valid.json'
    file.parent.mkdir()
    file.write_text(json.dumps(content))
    return root


def _config(root, work_dir):
    """The shipped config, cut down to small images and small networks."""
    cfg = Config.fromfile(CONFIG)
    cfg.work_dir = str(work_dir)
    cfg.experiment_name = f'{work_dir.name}-tracker'
    detector = cfg.model.detector
    detector.init_cfg = None
    detector.backbone.update(depth=18, init_cfg=None)
    detector.neck.in_channels = [64, 128, 256, 512]
    detector.neck.out_channels = 16
    detector.rpn_head.in_channels = detector.rpn_head.feat_channels = 16
    roi_head = detector.roi_head
    roi_head.bbox_roi_extractor.out_channels = 16
    roi_head.bbox_head.update(in_channels=16, fc_out_channels=16)
    roi_head.mask_roi_extractor.out_channels = 16
    roi_head.mask_head.update(
        in_channels=16, conv_out_channels=16, num_convs=1
    )
    cfg.model.carrier.backbone.update(out_indices=(0,), init_cfg=None)
    cfg.model.carrier.propagator.update(radius=5, topk=5, context=3)
    cfg.model.detect_every = 3
    loader = cfg.test_dataloader
    loader.update(num_workers=0, persistent_workers=False)
    loader.dataset.data_root = str(root)
    for step in loader.dataset.pipeline:
        if step.type == 'mmdet.Resize':
            step.scale = (WIDTH, HEIGHT)
    cfg.test_evaluator = dict(type='YouTubeVISMetric')
    cfg.visualizer.vis_backends = []
    return cfg


def _build(cfg):
    from mmengine.runner import Runner

    torch.manual_seed(0)
    return Runner.from_cfg(cfg)


class ExactDetector(nn.Module):
    """Finds the annotated masks, in another order every time."""

    is_init = True

    def __init__(self, seed=0):
        super().__init__()
        self.random = np.random.RandomState(seed)
        self.frames = []

    def predict(self, image, data_samples, rescale=True):
        (sample,) = data_samples
        self.frames.append((sample.video_id, sample.frame_id))
        names = list(VIDEOS)
        _, masks = _frame(names[sample.video_id - 1], sample.frame_id)
        labels = [i['bbox_label'] for i in sample.instances]
        order = self.random.permutation(len(masks))
        sample.pred_instances = InstanceData(
            masks=torch.from_numpy(np.stack(masks)[order]).bool(),
            labels=torch.tensor(labels)[order],
            scores=torch.tensor([0.9, 0.8])[: len(masks)][order],
            bboxes=torch.zeros(len(masks), 4),
        )
        return data_samples


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


def test_real_mask_rcnn_under_mmtracks_test_loop(ytvis, tmp_path):
    cfg = _config(ytvis, tmp_path)
    # Untrained, all of its scores are about 1/81.
    cfg.model.score_thr, cfg.model.label_map = 0.0, None
    cfg.model.detector.test_cfg.rcnn.update(score_thr=0.0, max_per_img=4)
    cfg.model.detector.roi_head.bbox_head.num_classes = 40
    cfg.model.detector.roi_head.mask_head.num_classes = 40
    cfg.model.tracks.update(init_score_thr=0.0)
    runner = _build(cfg)
    seen = []
    predict = runner.model.predict

    def note(inputs, data_samples, **kwargs):
        results = predict(inputs, data_samples, **kwargs)
        seen.extend(copy.deepcopy(results))
        return results

    runner.model.predict = note
    metrics = runner.test()
    assert set(metrics) >= {'youtube_vis/segm_mAP', 'youtube_vis/segm_mAP_50'}
    assert len(seen) == FRAMES * len(VIDEOS)
    found = 0
    for sample in seen:
        is_key = sample.frame_id % 3 == 0
        assert ('pred_det_instances' in sample) == is_key
        tracks = sample.pred_track_instances
        found += len(tracks)
        assert tracks.masks.shape == (len(tracks), HEIGHT, WIDTH)
        assert tracks.masks.dtype == torch.bool
        assert tracks.masks.sum(0).max() <= 1 if len(tracks) else True
        assert len(set(tracks.instances_id.tolist())) == len(tracks)
        for mask, box in zip(tracks.masks, tracks.bboxes):
            rows, columns = mask.nonzero().T
            assert box.tolist() == [
                columns.min(),
                rows.min(),
                columns.max() + 1,
                rows.max() + 1,
            ]
    assert found > 0
    # Its parts were initialised although mmengine's test loop doesn't.
    assert runner.model.detector.is_init


def _exact_run(cfg):
    runner = _build(cfg)
    detector = ExactDetector()
    runner.model.detector = detector
    metrics = runner.test()
    return metrics['youtube_vis/segm_mAP_50'], detector


@pytest.mark.parametrize('every, frames', [(3, (0, 3)), (None, (0,))])
def test_exact_detections_are_propagated_and_keep_their_identity(
    ytvis, tmp_path, every, frames
):
    cfg = _config(ytvis, tmp_path)
    cfg.model.label_map, cfg.model.detect_every = None, every
    # MMTracking's own visualizer draws it all along.
    cfg.default_hooks.visualization.update(
        draw=True, interval=1, test_out_dir=str(tmp_path / 'vis')
    )
    cfg.visualizer.alpha = 0.5
    score, detector = _exact_run(cfg)
    # Half of IoU over the whole video, one identity for each object.
    assert score == 1
    assert detector.frames == [(v, f) for v in (1, 2) for f in frames]
    # Both videos have the same names of frames: the later one stays.
    pictures = sorted((tmp_path / 'vis').glob('*.png'))
    assert [p.stem for p in pictures] == [f'{i:05d}' for i in range(FRAMES)]
    # The plain frame on the left, predictions on the right.
    drawn = cv2.imread(str(pictures[3]))
    assert drawn.shape == (HEIGHT, 2 * WIDTH, 3)
    # Drawing renders noise anew: its mean over a few pixels is what counts.
    drawn = cv2.blur(drawn, (7, 7)).astype(int)
    changed = np.abs(drawn[:, WIDTH:] - drawn[:, :WIDTH]).sum(2) > 30
    mask = _frame('two', 3)[1][0].astype(bool)
    assert changed[mask].mean() > 0.5 > changed[~mask].mean()


def test_without_matching_identities_break(ytvis, tmp_path):
    """The counterpart: what the score says when matching fails."""
    cfg = _config(ytvis, tmp_path)
    cfg.model.label_map = None
    # No propagated mask equals the new one, so that none is its
    # predecessor; each key frame begins other tracks.
    cfg.model.tracks.update(iou_thr=1.0, begin_iou_thr=1.0, max_unconfirmed=0)
    score, _ = _exact_run(cfg)
    assert score < 0.5


def _tracker(**kwargs):
    from mmengine.registry import MODELS

    cfg = _config(Path('.'), Path('.'))
    for name, value in kwargs.items():
        cfg.model[name] = value
    torch.manual_seed(0)
    return MODELS.build(cfg.model).eval()


def _sample(**metainfo):
    from mmtrack.structures import TrackDataSample

    size = HEIGHT, WIDTH
    known = dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0))
    return TrackDataSample(metainfo={**known, **metainfo})


def _predict(tracker, frame=0, image=None, **metainfo):
    if image is None:
        image = torch.rand(1, 1, 3, HEIGHT, WIDTH)
    sample = _sample(frame_id=frame, **metainfo)
    (sample,) = tracker.predict(dict(img=image), [sample])
    return sample


class FixedDetector(ExactDetector):
    """Gives detections that a test makes up, one set per call."""

    def __init__(self, *found):
        super().__init__()
        self.found = list(found)

    def predict(self, image, data_samples, rescale=True):
        data_samples[0].pred_instances = self.found.pop(0)
        return data_samples


def _found(*detections):
    masks = torch.zeros(len(detections), HEIGHT, WIDTH, dtype=torch.bool)
    for mask, (column, _, _) in zip(masks, detections):
        mask[8:40, column : column + 24] = True
    return InstanceData(
        masks=masks,
        labels=torch.tensor([d[1] for d in detections], dtype=torch.long),
        scores=torch.tensor([d[2] for d in detections]),
        bboxes=torch.zeros(len(detections), 4),
    )


def test_scores_and_classes_decide_what_counts():
    tracker = _tracker(
        score_thr=0.3, label_map={5: 2}, tracks=dict(init_score_thr=0.3)
    )
    tracker.detector = FixedDetector(
        _found((0, 5, 0.9), (32, 5, 0.2), (64, 6, 0.9))
    )
    sample = _predict(tracker)
    tracks = sample.pred_track_instances
    assert tracks.labels.tolist() == [2]
    assert tracks.bboxes.tolist() == [[0, 8, 24, 40]]
    assert len(sample.pred_det_instances) == 1
    assert 'pred_instances' not in sample


def test_a_video_begins_with_nothing_of_the_last():
    tracker = _tracker(label_map=None)
    tracker.detector = FixedDetector(_found((0, 1, 0.9)), _found((64, 3, 0.9)))
    for label in (1, 3):
        tracks = _predict(tracker).pred_track_instances
        assert tracks.instances_id.tolist() == [0]
        assert tracks.labels.tolist() == [label]


def test_frames_without_objects():
    tracker = _tracker(label_map=None, detect_every=None)
    tracker.detector = FixedDetector(_found(), _found((0, 1, 0.9)))
    found = [_predict(tracker, t).pred_track_instances for t in range(4)]
    assert all(f.masks.shape[1:] == (HEIGHT, WIDTH) for f in found)
    # It detects again until it finds something, then no more.
    assert [len(f) for f in found] == [0, 1, 1, 1]
    assert tracker.detector.found == []


@pytest.mark.parametrize(
    'renew, references', [(True, [1, 1, 1, 1]), (False, [1, 2, 1, 1])]
)
def test_new_objects_add_references_up_to_a_number(renew, references):
    tracker = _tracker(
        label_map=None,
        detect_every=1,
        max_references=2,
        tracks=dict(renew=renew, max_unconfirmed=9),
    )
    three = [(column, 1, 0.9) for column in (0, 32, 64)]
    found = three[:1], three[:2], three, three[2:]
    tracker.detector = FixedDetector(*[_found(*f) for f in found])
    counts, tracks = [], []
    for time in range(4):
        found = _predict(tracker, time).pred_track_instances
        counts.append(tracker.references)
        tracks.append(found.instances_id.tolist())
    assert counts == references
    assert tracks == [[0], [0, 1], [0, 1, 2], [0, 1, 2]]


def test_results_at_the_frames_own_size():
    tracker = _tracker(label_map=None)
    large = InstanceData(
        masks=torch.ones(1, 2 * HEIGHT, 2 * WIDTH).bool(),
        labels=torch.tensor([1]),
        scores=torch.tensor([0.9]),
        bboxes=torch.zeros(1, 4),
    )
    large.masks[:, :, WIDTH:] = False
    tracker.detector = FixedDetector(large)
    # Padded to the right and below, as the preprocessor does.
    image = torch.rand(1, 1, 3, HEIGHT + 32, WIDTH + 32)
    for time in (0, 1):
        size = 2 * HEIGHT, 2 * WIDTH
        sample = _predict(tracker, time, image, ori_shape=size)
        (mask,) = sample.pred_track_instances.masks
        assert (mask == large.masks[0]).float().mean() > 0.9


def test_propagation_gets_back_the_plain_image():
    tracker = _tracker()
    image = torch.randint(0, 256, (1, 3, HEIGHT - 2, WIDTH - 3)).byte()
    sample = _sample()
    sample.gt_instances = InstanceData()
    batch = dict(inputs=dict(img=[image]), data_samples=[sample])
    data = tracker.data_preprocessor(batch)
    assert data['inputs']['img'].shape == (1, 1, 3, HEIGHT, WIDTH)
    raw = tracker._raw(data['inputs']['img'][:, 0], image.shape[-2:])
    torch.testing.assert_close(raw, image[0].float(), atol=1e-3, rtol=0)


def test_loaded_weights_are_not_initialised_away(tmp_path):
    from mmengine.runner import load_checkpoint

    source = _tracker(label_map=None)
    with torch.no_grad():
        for parameter in source.parameters():
            parameter.fill_(0.5)
    torch.save({'state_dict': source.state_dict()}, tmp_path / 'a.pth')
    tracker = _tracker(label_map=None)
    load_checkpoint(tracker, str(tmp_path / 'a.pth'))
    tracker._ensure_weights()
    assert all((p == 0.5).all() for p in tracker.parameters())


def test_the_propagations_init_cfg_is_used(tmp_path):
    from hvc_mm.models import HVCResNet

    state = HVCResNet(18, out_indices=(0,)).state_dict(prefix='backbone.')
    torch.save(state, tmp_path / 'a.pth')
    cfg = _config(Path('.'), Path('.')).model.carrier
    cfg.backbone.init_cfg = dict(
        type='hvc_mm.PretrainedBackbone', checkpoint=str(tmp_path / 'a.pth')
    )
    tracker = _tracker(carrier=cfg)
    tracker._ensure_weights()
    own = tracker.carrier.state_dict()
    assert all(torch.equal(own[name], state[name]) for name in state)


def test_the_propagations_init_cfg_gives_way_to_a_checkpoint(tmp_path):
    from mmengine.runner import load_checkpoint

    source = _tracker(label_map=None)
    torch.save({'state_dict': source.state_dict()}, tmp_path / 'a.pth')
    cfg = _config(Path('.'), Path('.')).model.carrier
    cfg.backbone.init_cfg = dict(
        type='hvc_mm.PretrainedBackbone', checkpoint='gone.pth'
    )
    tracker = _tracker(carrier=cfg, label_map=None)
    load_checkpoint(tracker, str(tmp_path / 'a.pth'))
    tracker._ensure_weights()
    own, state = tracker.carrier.state_dict(), source.carrier.state_dict()
    assert all(torch.equal(own[name], state[name]) for name in state)
    # Without a checkpoint it is needed.
    with pytest.raises(ValueError, match=r'gone\.pth: there is no such file'):
        _tracker(carrier=cfg)._ensure_weights()


def test_misuse():
    tracker = _tracker()
    image = torch.zeros(2, 1, 3, HEIGHT, WIDTH)
    with pytest.raises(ValueError, match='expected one frame.*batch_size=1'):
        tracker.predict(dict(img=image), [_sample(), _sample()])
    with pytest.raises(ValueError, match='no frame_id'):
        tracker.predict(dict(img=image[:1]), [_sample()])
    with pytest.raises(NotImplementedError, match='is not trained'):
        tracker(dict(img=image), [], mode='loss')
    with pytest.raises(ValueError, match='detect_every is 0'):
        _tracker(detect_every=0)


def test_a_detector_without_masks():
    detector = _config(Path('.'), Path('.')).model.detector
    detector.type = 'FasterRCNN'
    del detector.roi_head['mask_head'], detector.roi_head['mask_roi_extractor']
    with pytest.raises(ValueError, match='FasterRCNN finds no masks'):
        _tracker(detector=detector)
