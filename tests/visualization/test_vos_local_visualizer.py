"""The visualizer: what is drawn, where it goes, J over time."""

import mmcv
import numpy as np
import pytest
import torch

from hvc_mm.datasets.vip import PARTS
from hvc_mm.registry import VISUALIZERS
from hvc_mm.structures import VOSDataSample
from hvc_mm.visualization import VOSLocalVisualizer, overlay, overlay_ids

H, W = 60, 80


@pytest.fixture
def frame():
    return np.random.default_rng(0).integers(0, 256, (H, W, 3), np.uint8)


def sample_of(ids=None, index=0, video='bear', **meta):
    sample = VOSDataSample(
        metainfo=dict(
            video=video,
            frame_index=index,
            frame_name=f'{index:05d}',
            video_length=4,
            ori_shape=(H, W),
            **meta,
        )
    )
    if ids is not None:
        sample.pred_ids = torch.from_numpy(ids)
    return sample


@pytest.fixture
def ids():
    ids = np.zeros((H, W), np.uint8)
    ids[20:40, 20:60] = 1
    return ids


def test_prediction_alone_is_the_overlay(frame, ids):
    drawn = VOSLocalVisualizer(alpha=0.3).draw(frame, sample_of(ids))
    np.testing.assert_array_equal(drawn, overlay_ids(frame, ids, 0.3))
    np.testing.assert_array_equal(VOSLocalVisualizer().draw(frame), frame)


def test_truth_stands_left_and_j_below(frame, ids):
    visualizer = VOSLocalVisualizer()
    gt = np.zeros_like(ids)
    gt[20:40, 20:40] = 1
    gt[:5] = 255  # void is not drawn
    drawn = visualizer.draw(frame, sample_of(ids), gt_ids=gt)
    assert drawn.shape[1] == 2 * W and drawn.shape[0] > H + 80
    bar = drawn.shape[0] - H - 80
    clean = np.where(gt == 255, 0, gt)
    np.testing.assert_array_equal(
        drawn[bar : bar + H, :W], overlay_ids(frame, clean)
    )
    np.testing.assert_array_equal(
        drawn[bar : bar + H, W:], overlay_ids(frame, ids)
    )
    assert visualizer._curves == {1: {0: 0.5}}
    plain = VOSLocalVisualizer(draw_curve=False)
    assert plain.draw(frame, sample_of(ids), gt_ids=gt).shape[0] == H + bar


def test_scores_of_a_video_are_kept_until_the_next(frame, ids):
    visualizer = VOSLocalVisualizer()
    gt, late = ids.copy(), ids.copy()
    late[:10] = 2
    for index, truth in enumerate((gt, late, late)):
        visualizer.draw(frame, sample_of(ids, index), gt_ids=truth)
    assert visualizer._curves == {
        1: {0: 1.0, 1: 1.0, 2: 1.0},
        2: {1: 0.0, 2: 0.0},
    }
    visualizer.draw(frame, sample_of(ids, video='cow'), gt_ids=gt)
    assert visualizer._curves == {1: {0: 1.0}}


def test_parts_have_names(frame, ids, monkeypatch):
    said = []
    monkeypatch.setattr(
        overlay, 'draw_label', lambda image, text, at: said.append(text)
    )
    visualizer = VOSLocalVisualizer()
    visualizer.dataset_meta = dict(classes=PARTS)
    visualizer.draw(frame, sample_of(ids * 13))
    assert said == ['face']


def test_joints_are_pixels_of_the_frame(frame):
    # The size that the network saw doesn't matter.
    sample = sample_of(img_shape=(320, 320))
    joints = torch.full((2, 15), -1.0)
    joints[:, 0] = torch.tensor([40.0, 15.0])
    sample.pred_joints = joints
    drawn = VOSLocalVisualizer().draw(frame, sample)
    y, x = np.nonzero((drawn != frame).any(-1))
    assert abs(x.mean() - 40) < 1 and abs(y.mean() - 15) < 1
    truth = np.full((2, 15), -1.0)
    both = VOSLocalVisualizer().draw(frame, sample, gt_joints=truth)
    assert both.shape[1] == 2 * W


def test_where_pictures_go(frame, ids, tmp_path, monkeypatch):
    visualizer = VISUALIZERS.build(
        dict(
            type='hvc_mm.VOSLocalVisualizer',
            name='where',
            vis_backends=[dict(type='LocalVisBackend')],
            save_dir=str(tmp_path),
        )
    )
    sample = sample_of(ids)
    drawn = visualizer.draw(frame, sample)
    visualizer.add_datasample('bear', frame, sample, step=3)
    backend = tmp_path / 'vis_data/vis_image/bear_3.png'
    read = mmcv.imread(str(backend), channel_order='rgb')
    np.testing.assert_array_equal(read, drawn)
    np.testing.assert_array_equal(visualizer.get_image(), drawn)

    out_file = tmp_path / 'new/0.png'
    visualizer.add_datasample('cow', frame, sample, out_file=str(out_file))
    read = mmcv.imread(str(out_file), channel_order='rgb')
    np.testing.assert_array_equal(read, drawn)
    assert not list(tmp_path.glob('**/cow_*'))

    shown = []
    monkeypatch.setattr(
        visualizer, 'show', lambda image, **kw: shown.append((image, kw))
    )
    visualizer.add_datasample(
        'bear', frame, sample, show=True, wait_time=2, out_file=str(out_file)
    )
    assert shown[0][1] == dict(win_name='bear', wait_time=2)


def test_mmengines_own_drawing_still_works(frame):
    visualizer = VOSLocalVisualizer()
    visualizer.set_image(frame)
    visualizer.draw_bboxes(np.array([10, 10, 40, 40]))
    drawn = visualizer.get_image()
    assert drawn.shape == frame.shape and (drawn != frame).any()
