"""The tracker without a project: with detections that the tests make up."""

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from mmengine.structures import BaseDataElement, InstanceData
from torch import nn

from hvc_mm.bridges.instance_tracker import InstanceTracker

HEIGHT, WIDTH = 64, 96


class _Tracker(InstanceTracker, BaseModel):
    detections = 'pred_det_instances'

    def forward(self, inputs, data_samples=None, mode='loss'):
        return self.loss(inputs, data_samples)


@MODELS.register_module(name='FixedDetectorOfTests', force=True)
class FixedDetector(nn.Module):
    """Gives detections that a test makes up, one set per call."""

    def __init__(self, *found, with_mask=True):
        super().__init__()
        self.found = list(found)
        self.with_mask = with_mask
        self.is_init = True

    def predict(self, image, data_samples, rescale=True):
        data_samples[0].pred_instances = self.found.pop(0)
        return data_samples


def _tracker(*found, with_mask=True, **kwargs):
    torch.manual_seed(0)
    detector = dict(type='FixedDetectorOfTests', with_mask=with_mask)
    carrier = dict(
        backbone=dict(
            type='hvc_mm.HVCResNet',
            depth=18,
            strides=(1, 2, 1, 1),
            out_indices=(0,),
        ),
        propagator=dict(radius=5, topk=5, temperature=0.1, context=3),
    )
    kwargs = {'carrier': carrier, 'detect_every': 3, **kwargs}
    tracker = _Tracker(detector, **kwargs).eval()
    tracker.detector.found += found
    return tracker


def _sample(**metainfo):
    size = HEIGHT, WIDTH
    known = dict(img_shape=size, ori_shape=size, frame_id=0)
    return BaseDataElement(metainfo={**known, **metainfo})


def _predict(tracker, frame=0, image=None, **metainfo):
    if image is None:
        image = torch.rand(1, 3, HEIGHT, WIDTH)
    sample = _sample(frame_id=frame, **metainfo)
    tracker.track(image, sample)
    return sample


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
    found = _found((0, 5, 0.9), (32, 5, 0.2), (64, 6, 0.9))
    tracker.detector = FixedDetector(found)
    sample = _predict(tracker)
    tracks = sample.pred_track_instances
    assert tracks.labels.tolist() == [2]
    assert tracks.bboxes.tolist() == [[0, 8, 24, 40]]
    assert len(sample.pred_det_instances) == 1
    assert 'pred_instances' not in sample


def test_a_video_begins_with_nothing_of_the_last():
    tracker = _tracker()
    tracker.detector = FixedDetector(_found((0, 1, 0.9)), _found((64, 3, 0.9)))
    for label in (1, 3):
        tracks = _predict(tracker).pred_track_instances
        assert tracks.instances_id.tolist() == [0]
        assert tracks.labels.tolist() == [label]


def test_frames_without_objects():
    tracker = _tracker(detect_every=None)
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
    tracker = _tracker()
    large = InstanceData(
        masks=torch.ones(1, 2 * HEIGHT, 2 * WIDTH).bool(),
        labels=torch.tensor([1]),
        scores=torch.tensor([0.9]),
        bboxes=torch.zeros(1, 4),
    )
    large.masks[:, :, WIDTH:] = False
    tracker.detector = FixedDetector(large)
    # Padded to the right and below, as the preprocessor does.
    image = torch.rand(1, 3, HEIGHT + 32, WIDTH + 32)
    for time in (0, 1):
        size = 2 * HEIGHT, 2 * WIDTH
        sample = _predict(tracker, time, image, ori_shape=size)
        (mask,) = sample.pred_track_instances.masks
        assert (mask == large.masks[0]).float().mean() > 0.9


@pytest.mark.parametrize('reid_thr, ids', [(0.4, [1, 0]), (None, [2, 3])])
def test_lost_objects_are_found_again_by_what_they_look_like(reid_thr, ids):
    """Two things are away for two key frames and come back elsewhere."""
    generator = torch.Generator().manual_seed(0)
    things = torch.rand(2, 3, 32, 24, generator=generator) * 255
    things[0, 0] *= 0.2
    things[1, 2] *= 0.2
    there = torch.full((1, 3, HEIGHT, WIDTH), 128.0)
    away, back = there.clone(), there.clone()
    there[0, :, 8:40, :24], there[0, :, 8:40, 64:88] = things
    back[0, :, 8:40, 32:56], back[0, :, 8:40, 72:96] = things.flip(0)
    tracker = _tracker(
        detect_every=1, tracks=dict(max_unconfirmed=0, reid_thr=reid_thr)
    )
    both = _found((0, 1, 0.9), (64, 1, 0.8))
    moved = _found((32, 1, 0.9), (72, 1, 0.8))
    tracker.detector = FixedDetector(both, _found(), _found(), moved)
    found = [
        _predict(tracker, time, image).pred_track_instances
        for time, image in enumerate((there, away, away, back))
    ]
    assert [len(f) for f in found] == [2, 0, 0, 2]
    left = found[3].bboxes[:, 0].argsort()
    assert found[3].instances_id[left].tolist() == ids


def test_propagation_gets_back_the_plain_image():
    preprocessor = nn.Module()
    preprocessor._enable_normalize = True
    preprocessor.mean = torch.tensor([123.0, 116.0, 103.0])[
        None, :, None, None
    ]
    preprocessor.std = torch.tensor([58.0, 57.0, 56.0])[None, :, None, None]
    image = torch.randint(0, 256, (1, 3, HEIGHT - 2, WIDTH - 3)).float()
    tracker = _tracker()
    tracker.data_preprocessor = preprocessor
    for name in ('channel_conversion', '_channel_conversion'):
        setattr(preprocessor, name, True)
        seen = torch.zeros(1, 3, HEIGHT, WIDTH)
        rgb = (image.flip(1) - preprocessor.mean) / preprocessor.std
        seen[..., : HEIGHT - 2, : WIDTH - 3] = rgb
        raw = tracker._raw(seen, image.shape[-2:])
        torch.testing.assert_close(raw, image[0], atol=1e-3, rtol=0)
        delattr(preprocessor, name)


def _carrier(checkpoint):
    init = dict(type='hvc_mm.PretrainedBackbone', checkpoint=str(checkpoint))
    return dict(
        backbone=dict(
            type='hvc_mm.HVCResNet',
            depth=18,
            out_indices=(0,),
            init_cfg=init,
        )
    )


def test_the_propagations_init_cfg_is_used(tmp_path):
    from hvc_mm.models import HVCResNet

    state = HVCResNet(18, out_indices=(0,)).state_dict(prefix='backbone.')
    torch.save(state, tmp_path / 'a.pth')
    tracker = _tracker(carrier=_carrier(tmp_path / 'a.pth'))
    tracker._ensure_weights()
    own = tracker.carrier.state_dict()
    assert all(torch.equal(own[name], state[name]) for name in state)


def test_the_propagations_init_cfg_gives_way_to_a_checkpoint(tmp_path):
    from mmengine.runner import load_checkpoint

    source = _tracker(
        carrier={
            **_carrier(''),
            'backbone': dict(_carrier('')['backbone'], init_cfg=None),
        }
    )
    torch.save({'state_dict': source.state_dict()}, tmp_path / 'a.pth')
    cfg = _carrier('gone.pth')
    tracker = _tracker(carrier=cfg)
    load_checkpoint(tracker, str(tmp_path / 'a.pth'))
    tracker._ensure_weights()
    own, state = tracker.carrier.state_dict(), source.carrier.state_dict()
    assert all(torch.equal(own[name], state[name]) for name in state)
    # Without a checkpoint it is needed.
    with pytest.raises(ValueError, match=r'gone\.pth: there is no such file'):
        _tracker(carrier=cfg)._ensure_weights()


def test_misuse():
    tracker = _tracker()
    sample = _sample()
    del sample.frame_id
    with pytest.raises(ValueError, match='no frame_id'):
        tracker.track(torch.zeros(1, 3, HEIGHT, WIDTH), sample)
    with pytest.raises(NotImplementedError, match='is not trained'):
        tracker(None, [])
    with pytest.raises(ValueError, match='detect_every is 0'):
        _tracker(detect_every=0)
    with pytest.raises(ValueError, match='FixedDetector finds no masks'):
        _tracker(with_mask=False)
    boxes = InstanceData(scores=torch.ones(1), labels=torch.ones(1))
    tracker.detector = FixedDetector(boxes)
    with pytest.raises(ValueError, match='FixedDetector found no masks'):
        _predict(tracker)
