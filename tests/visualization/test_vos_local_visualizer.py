"""The visualizer: what is drawn, where it goes, J over time."""

import mmcv
import numpy as np
import pytest
import torch

from hvc_mm.datasets import PARTS, JHMDBDataset
from hvc_mm.registry import VISUALIZERS
from hvc_mm.structures import VOSDataSample
from hvc_mm.visualization import (
    VOSLocalVisualizer,
    overlay_ids,
)
from hvc_mm.visualization.score_curve import curve_height

H, W = 60, 80


@pytest.fixture
def frame():
    return np.random.default_rng(0).integers(0, 256, (H, W, 3), np.uint8)


@pytest.fixture
def ids():
    ids = np.zeros((H, W), np.uint8)
    ids[20:40, 20:60] = 1
    return ids


def sample_of(ids=None, index=0, video='bear', **meta):
    meta.update(video=video, frame_index=index, frame_name=f'{index:05d}')
    meta.update(video_length=4, ori_shape=(H, W))
    sample = VOSDataSample(metainfo=meta)
    if ids is not None:
        sample.pred_ids = torch.from_numpy(ids)
    return sample


def test_prediction_alone_is_the_overlay(frame, ids, labels):
    visualizer = VOSLocalVisualizer(alpha=0.3)
    drawn = visualizer.draw(frame, sample_of(ids))
    np.testing.assert_array_equal(drawn, overlay_ids(frame, ids, 0.3))
    np.testing.assert_array_equal(visualizer.draw(frame), frame)
    labels.clear()
    visualizer.dataset_meta = dict(classes=PARTS)
    visualizer.draw(frame, sample_of(ids * 13))
    assert [text for text, _ in labels] == ['face']


def test_truth_is_left_and_j_below(frame, ids):
    visualizer = VOSLocalVisualizer()
    gt = np.zeros_like(ids)
    gt[20:40, 20:40] = 1
    gt[:5] = 255  # void is not drawn
    drawn = visualizer.draw(frame, sample_of(ids), gt_ids=gt)
    curve = curve_height(2 * W)
    assert drawn.shape[1] == 2 * W and drawn.shape[0] > H + curve
    bar = drawn.shape[0] - H - curve
    panels = drawn[bar : bar + H]
    clean = np.where(gt == 255, 0, gt)
    np.testing.assert_array_equal(panels[:, :W], overlay_ids(frame, clean))
    np.testing.assert_array_equal(panels[:, W:], overlay_ids(frame, ids))
    assert visualizer._curves == {1: {0: 0.5}}
    plain = VOSLocalVisualizer(draw_curve=False)
    assert plain.draw(frame, sample_of(ids), gt_ids=gt).shape[0] == H + bar


def test_scores_of_a_video_are_kept_until_the_next(frame, ids):
    visualizer = VOSLocalVisualizer()
    late = ids.copy()
    late[:10] = 2
    for index, truth in enumerate((ids, late, late)):
        visualizer.draw(frame, sample_of(ids, index), gt_ids=truth)
    assert visualizer._curves == {
        1: {0: 1.0, 1: 1.0, 2: 1.0},
        2: {1: 0.0, 2: 0.0},
    }
    visualizer.draw(frame, sample_of(ids, video='cow'), gt_ids=ids)
    assert visualizer._curves == {1: {0: 1.0}}


@pytest.mark.parametrize('seen', [(320, 320), (H, W), (48, 64)])
def test_joints_are_drawn_at_their_pixels(frame, seen):
    """Whatever the network's input and stride are."""
    sample = sample_of(img_shape=seen)
    joints = torch.full((2, 15), -1.0)
    joints[:, 0] = torch.tensor([40.0, 15.0])
    sample.pred_joints = joints
    visualizer = VOSLocalVisualizer()
    visualizer.dataset_meta = JHMDBDataset.METAINFO
    drawn = visualizer.draw(frame, sample)
    y, x = np.nonzero((drawn != frame).any(-1))
    assert abs(x.mean() - 40) < 1 and abs(y.mean() - 15) < 1
    truth = np.full((2, 15), -1.0)
    both = visualizer.draw(frame, sample, gt_joints=truth)
    assert both.shape[1] == 2 * W


def test_where_pictures_go(frame, ids, tmp_path, monkeypatch):
    cfg = dict(type='hvc_mm.VOSLocalVisualizer', name='where')
    backends = [dict(type='LocalVisBackend')]
    visualizer = VISUALIZERS.build(
        dict(cfg, vis_backends=backends, save_dir=str(tmp_path))
    )
    sample = sample_of(ids)
    drawn = visualizer.draw(frame, sample)
    visualizer.add_datasample('bear', frame, sample, step=3)
    backend = tmp_path / 'vis_data/vis_image/bear_3.png'
    read = mmcv.imread(str(backend), channel_order='rgb')
    np.testing.assert_array_equal(read, drawn)
    np.testing.assert_array_equal(visualizer.get_image(), drawn)

    out_file = str(tmp_path / 'new/0.png')
    shown = []
    monkeypatch.setattr(
        visualizer, 'show', lambda image, **kw: shown.append(kw)
    )
    visualizer.add_datasample(
        'cow', frame, sample, show=True, wait_time=2, out_file=out_file
    )
    read = mmcv.imread(out_file, channel_order='rgb')
    np.testing.assert_array_equal(read, drawn)
    assert not list(tmp_path.glob('**/cow_*'))
    assert shown == [dict(win_name='cow', wait_time=2)]

    # mmengine's own drawing still works.
    visualizer.set_image(frame)
    visualizer.draw_bboxes(np.array([10, 10, 40, 40]))
    assert (visualizer.get_image() != frame).any()
