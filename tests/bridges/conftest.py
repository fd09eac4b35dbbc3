"""Videos of moving squares in YouTube-VIS's layout, and runs over them."""

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData
from torch import nn

HEIGHT, WIDTH = 64, 96
FRAMES = 6
# Class of each object by video, instead of YouTube-VIS's.
VIDEOS = {'one': (0, 7), 'two': (13,)}


def frame(video, time):
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


def write_ytvis(root, classes):
    """Two videos in YouTube-VIS's layout."""
    from pycocotools import mask as coco_mask

    videos, images, annotations = [], [], []
    size = dict(height=HEIGHT, width=WIDTH)
    for video_id, (video, labels) in enumerate(VIDEOS.items(), start=1):
        folder = root / 'valid' / 'JPEGImages' / video
        folder.mkdir(parents=True)
        videos.append(dict(id=video_id, name=video, **size))
        for time in range(FRAMES):
            image, masks = frame(video, time)
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


def shrink(cfg, root, work_dir):
    """Cut a shipped config down to small images and small networks."""
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
    cfg.test_evaluator = dict(type=cfg.test_evaluator.type)
    cfg.visualizer.vis_backends = []
    return cfg


def build(cfg):
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
        _, masks = frame(names[sample.video_id - 1], sample.frame_id)
        labels = [i['bbox_label'] for i in sample.instances]
        order = self.random.permutation(len(masks))
        sample.pred_instances = InstanceData(
            masks=torch.from_numpy(np.stack(masks)[order]).bool(),
            labels=torch.tensor(labels)[order],
            scores=torch.tensor([0.9, 0.8])[: len(masks)][order],
            bboxes=torch.zeros(len(masks), 4),
        )
        return data_samples


def check_frames(samples):
    """Check what the tracker found in the frames of both videos."""
    assert len(samples) == FRAMES * len(VIDEOS)
    found = 0
    for sample in samples:
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


def untrained(cfg):
    """Let a Mask R-CNN without weights find something."""
    # All of its scores are about 1/81.
    cfg.model.score_thr, cfg.model.label_map = 0.0, None
    cfg.model.detector.test_cfg.rcnn.update(score_thr=0.0, max_per_img=4)
    cfg.model.detector.roi_head.bbox_head.num_classes = 40
    cfg.model.detector.roi_head.mask_head.num_classes = 40
    cfg.model.tracks.update(init_score_thr=0.0)
    return cfg


def exact_run(cfg):
    """Track what an exact detector finds: AP50, and the detector."""
    runner = build(cfg)
    runner.model.detector = detector = ExactDetector()
    metrics = runner.test()
    return metrics['youtube_vis/segm_mAP_50'], detector


@pytest.fixture(scope='session')
def squares():
    """What the tests of both projects need."""
    return SimpleNamespace(
        HEIGHT=HEIGHT,
        WIDTH=WIDTH,
        FRAMES=FRAMES,
        VIDEOS=VIDEOS,
        ExactDetector=ExactDetector,
        build=build,
        exact_run=exact_run,
        check_frames=check_frames,
        frame=frame,
        shrink=shrink,
        untrained=untrained,
        write_ytvis=write_ytvis,
    )
