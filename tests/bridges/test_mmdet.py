"""The tracker in MMDetection's own tracking: data, test loop and metric."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from hvc_mm.engine.other_projects import lacks_tracking

pytestmark = [
    pytest.mark.mmdet,
    pytest.mark.skipif(
        lacks_tracking(), reason='MMDetection has tracking from 3.1 on'
    ),
]

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / 'configs/mixed/mask-rcnn_hvc_ytvis_mmdet.py'


@pytest.fixture(autouse=True)
def _scope():
    """As MMDetection's tool has it; other tests have theirs."""
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


@pytest.fixture(scope='module')
def ytvis(tmp_path_factory, squares):
    from mmdet.datasets import YouTubeVISDataset

    YouTubeVISDataset.set_dataset_classes('2019')
    root = tmp_path_factory.mktemp('data') / 'youtube_vis_2019'
    return squares.write_ytvis(root, YouTubeVISDataset.METAINFO['classes'])


@pytest.fixture
def cfg(ytvis, tmp_path, squares):
    """The shipped config, cut down."""
    cfg = squares.shrink(Config.fromfile(CONFIG), ytvis, tmp_path)
    load, pack = cfg.test_dataloader.dataset.pipeline
    load.transforms[1].scale = (squares.WIDTH, squares.HEIGHT)
    return cfg


def test_shipped_config_builds_in_mmdets_scope(root_dir):
    from mmdet.models.mot import BaseMOTModel
    from mmengine.registry import MODELS

    from hvc_mm.models import HVCResNet

    cfg = Config.fromfile(CONFIG)
    # One set of settings for both projects.
    base = root_dir / 'configs/_base_/models/hvc_instance_tracker.py'
    shared = Config.fromfile(base).tracker
    assert {key: cfg.model[key] for key in shared} == shared
    assert cfg.default_scope == 'mmdet'
    cfg.model.detector.init_cfg = None
    cfg.model.detector.backbone.init_cfg = None
    cfg.model.carrier.backbone.init_cfg = None
    model = MODELS.build(cfg.model)
    assert isinstance(model, BaseMOTModel)
    assert type(model).__name__ == 'HVCInstanceTracker'
    assert type(model.detector).__name__ == 'MaskRCNN'
    assert model.detector.roi_head.bbox_head.num_classes == 80
    assert isinstance(model.carrier.backbone, HVCResNet)
    assert model.data_preprocessor.pad_size_divisor == 32


def test_real_mask_rcnn_under_mmdets_test_loop(cfg, squares):
    runner = squares.build(squares.untrained(cfg))
    seen = []
    predict = runner.model.predict

    def note(inputs, data_samples, **kwargs):
        assert inputs.shape[:2] == (1, squares.FRAMES)
        (video,) = predict(inputs, data_samples, **kwargs)
        seen.extend(video.video_data_samples)
        return [video]

    runner.model.predict = note
    metrics = runner.test()
    assert set(metrics) >= {'youtube_vis/segm_mAP', 'youtube_vis/segm_mAP_50'}
    squares.check_frames(seen)
    for sample in seen:
        is_key = sample.frame_id % 3 == 0
        assert ('pred_instances' in sample) == is_key
    # Its parts were initialised although mmengine's test loop doesn't.
    assert runner.model.detector.is_init


def _changed(drawn, image):
    pair = [cv2.blur(one.astype(np.float32), (7, 7)) for one in (drawn, image)]
    return np.abs(pair[0] - pair[1]).sum(2) > 30


@pytest.mark.parametrize('every, frames', [(3, (0, 3)), (None, (0,))])
def test_exact_detections_are_propagated_and_keep_their_identity(
    cfg, tmp_path, squares, every, frames
):
    cfg.model.label_map, cfg.model.detect_every = None, every
    # MMDetection's own hook and visualizer draw it all along.
    cfg.default_hooks.visualization.update(
        draw=True, frame_interval=1, test_out_dir=str(tmp_path / 'vis')
    )
    cfg.visualizer.alpha = 0.5
    score, detector = squares.exact_run(cfg)
    # Half of IoU over the whole video, one identity for each object.
    assert score == 1
    assert detector.frames == [(v, f) for v in (1, 2) for f in frames]
    # The hook names the folder after the frames' folder's: both videos have
    # the same names of frames, the later one stays.
    pictures = sorted((tmp_path / 'vis').rglob('*.png'))
    assert [p.stem for p in pictures] == [
        f'{i:05d}' for i in range(squares.FRAMES)
    ]
    drawn = cv2.imread(str(pictures[3]))
    assert drawn.shape == (squares.HEIGHT, squares.WIDTH, 3)
    image, (mask,) = squares.frame('two', 3)
    changed = _changed(drawn, image)
    mask = mask.astype(bool)
    assert changed[mask].mean() > 0.5 > changed[~mask].mean()


def test_frames_without_objects_are_drawn(cfg, tmp_path, squares):
    cfg.default_hooks.visualization.update(
        draw=True, frame_interval=1, test_out_dir=str(tmp_path / 'vis')
    )
    cfg.model.score_thr = 1.0
    runner = squares.build(cfg)
    with pytest.raises(ValueError, match='no object was found in any video'):
        runner.test()
    pictures = sorted((tmp_path / 'vis').rglob('*.png'))
    image, _ = squares.frame('two', 0)
    drawn = cv2.imread(str(pictures[0]))
    assert drawn.shape == image.shape
    # Some versions of matplotlib lose a row or a column of a small picture.
    assert _changed(drawn, image).mean() < 0.1


def test_frames_one_by_one_are_as_all_at_once(cfg, squares):
    from mmdet.structures import DetDataSample, TrackDataSample
    from mmengine.registry import MODELS

    torch.manual_seed(0)
    tracker = MODELS.build(squares.untrained(cfg).model).eval()
    size = squares.HEIGHT, squares.WIDTH
    frames = torch.randn(1, 5, 3, *size)

    def run(times):
        samples = []
        for time in times:
            known = dict(img_shape=size, ori_shape=size, scale_factor=(1, 1))
            known['batch_input_shape'] = size
            samples.append(DetDataSample(metainfo=dict(known, frame_id=time)))
        video = TrackDataSample()
        video.video_data_samples = samples
        (video,) = tracker.predict(frames[:, times], [video])
        return [s.pred_track_instances for s in video.video_data_samples]

    whole = run(list(range(5)))
    single = [run([time])[0] for time in range(5)]
    assert any(len(found) for found in whole)
    for first, second in zip(whole, single):
        assert torch.equal(first.masks, second.masks)
        assert torch.equal(first.instances_id, second.instances_id)


def test_propagation_gets_back_the_plain_image(cfg, squares):
    from mmdet.structures import DetDataSample, TrackDataSample
    from mmengine.registry import MODELS

    tracker = MODELS.build(cfg.model)
    size = squares.HEIGHT - 2, squares.WIDTH - 3
    image = torch.randint(0, 256, (1, 3, *size)).byte()
    video = TrackDataSample()
    video.video_data_samples = [DetDataSample(metainfo=dict(img_shape=size))]
    batch = dict(inputs=[image], data_samples=[video])
    padded = tracker.data_preprocessor(batch)['inputs']
    assert padded.shape == (1, 1, 3, squares.HEIGHT, squares.WIDTH)
    raw = tracker._raw(padded[0], size)
    torch.testing.assert_close(raw, image[0].float(), atol=1e-3, rtol=0)


def test_misuse(cfg):
    from mmengine.registry import MODELS

    tracker = MODELS.build(cfg.model)
    with pytest.raises(ValueError, match='expected one video.*batch_size=1'):
        tracker.predict(torch.zeros(2, 1, 3, 64, 96), [None, None])
    with pytest.raises(NotImplementedError, match='is not trained'):
        tracker(torch.zeros(1, 1, 3, 64, 96), [], mode='loss')


@pytest.mark.slow
def test_the_tool_writes_the_servers_zip(ytvis, tmp_path, run_tool, squares):
    """As a user runs it: the shipped config, only its networks are small."""
    mine = tmp_path / 'mine.py'
    mine.write_text(
        f'_base_ = {str(CONFIG)!r}\n'
        'model = dict(\n'
        '    detector=dict(init_cfg=None, backbone=dict(init_cfg=None)),\n'
        '    carrier=dict(backbone=dict(init_cfg=None)),\n'
        ')\n'
        'test_dataloader = dict(\n'
        '    num_workers=0, persistent_workers=False)\n'
        f'test_evaluator = dict(outfile_prefix={str(tmp_path / "out")!r})\n'
    )
    done = run_tool(
        'test.py', mine, 'none', data_root=ytvis.parent, cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout
    assert (tmp_path / 'out.submission_file.zip').is_file()
