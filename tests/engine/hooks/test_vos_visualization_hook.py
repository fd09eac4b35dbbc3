"""VOSVisualizationHook: frames of a real test run, at their own size."""

from types import SimpleNamespace

import mmcv
import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.visualization import Visualizer

from hvc_mm.datasets.image_io import write_id_mask
from hvc_mm.engine import VOSVisualizationHook
from hvc_mm.registry import DATASETS, HOOKS, MODELS
from hvc_mm.visualization import VOSLocalVisualizer, overlay_ids

H, W = 40, 56


@pytest.fixture
def davis(tmp_path):
    """Two videos of three frames with a mask each, all lossless."""
    y, x = np.mgrid[:H, :W]
    ids = np.zeros((H, W), np.uint8)
    ids[10:30, 10:40] = 1
    for video in ('bear', 'cow'):
        for index in range(3):
            # Smooth, so that JPEG keeps it; each frame is another.
            levels = (4 * x, 6 * y, np.full_like(x, 50 * index))
            image = np.stack(levels, -1).astype(np.uint8)
            path = tmp_path / f'data/JPEGImages/{video}/{index:05d}.png'
            mmcv.imwrite(image, str(path))
            write_id_mask(
                tmp_path / f'data/Annotations/{video}/{index:05d}.png', ids
            )
    return tmp_path / 'data', ids


def run(davis, visualizer, size=None, **options):
    """Test a small network as a test loop does, two frames at a time."""
    dataset = DATASETS.build(
        dict(
            type='VOSDataset',
            ann_file='',
            data_root=str(davis[0]),
            data_prefix=dict(img_path='JPEGImages', ann_path='Annotations'),
            pipeline=[
                dict(type='hvc_mm.LoadFrame'),
                dict(type='hvc_mm.LoadPrompt'),
                dict(type='hvc_mm.ResizeFrame', size=size),
                dict(type='hvc_mm.PackVOSInputs'),
            ],
        )
    )
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='LabelPropagationVOS',
            backbone=dict(type='HVCResNet', depth=18, out_indices=(0,)),
            propagator=dict(radius=3, topk=3, context=2),
        )
    ).eval()
    hook = HOOKS.build(dict(type='VOSVisualizationHook', **options))
    runner = SimpleNamespace(visualizer=visualizer)
    hook.before_test(runner)
    for start in range(0, 6, 2):
        batch = pseudo_collate([dataset[start], dataset[start + 1]])
        outputs = model.test_step(batch)
        hook.after_test_iter(runner, start // 2, batch, outputs)


def test_pictures_of_a_test_run(davis, tmp_path):
    out = tmp_path / 'pictures'
    run(davis, VOSLocalVisualizer(), out_dir=str(out), interval=2)
    names = sorted(str(p.relative_to(out)) for p in out.rglob('*.jpg'))
    assert names == [
        f'{video}/{index:05d}.jpg'
        for video in ('bear', 'cow')
        for index in (0, 2)
    ]
    drawn = mmcv.imread(str(out / 'cow/00002.jpg'), channel_order='rgb')
    frame = mmcv.imread(
        str(davis[0] / 'JPEGImages/cow/00002.png'), channel_order='rgb'
    )
    away = np.ones((H, W), bool)
    away[4:36, 4:46] = False
    assert np.abs(drawn[away].astype(int) - frame[away]).mean() < 6


@pytest.mark.parametrize('size', [None, (24, 32)])
def test_backends_get_frames_of_their_own_size(davis, tmp_path, size):
    visualizer = VOSLocalVisualizer(
        vis_backends=[dict(type='LocalVisBackend')], save_dir=str(tmp_path)
    )
    run(davis, visualizer, size=size, draw_gt=True)
    folder = tmp_path / 'vis_data/vis_image'
    assert len(list(folder.iterdir())) == 6
    drawn = mmcv.imread(str(folder / 'bear_1.png'), channel_order='rgb')
    assert drawn.shape[1] == 2 * W and drawn.shape[0] > H + 80
    frame = mmcv.imread(
        str(davis[0] / 'JPEGImages/bear/00001.png'), channel_order='rgb'
    )
    bar = drawn.shape[0] - 80 - H
    np.testing.assert_array_equal(
        drawn[bar : bar + H, :W], overlay_ids(frame, davis[1])
    )
    scores = visualizer._curves[1]
    assert sorted(scores) == [0, 1, 2] and scores[0] > 0.6


def test_validation_is_drawn_likewise(monkeypatch):
    hook = VOSVisualizationHook(out_dir='x')
    calls = []
    monkeypatch.setattr(hook, 'after_test_iter', lambda *a: calls.append(a))
    hook.after_val_iter('runner', 3, 'batch', 'outputs')
    assert calls == [('runner', 3, 'batch', 'outputs')]


def test_the_batch_is_not_changed():
    seen = []

    class Keeper:
        def add_datasample(self, name, image, *args, **kwargs):
            image[:] = 0  # a rude visualizer
            seen.append(name)

    class Sample(dict):
        __getattr__ = dict.__getitem__

    frame = torch.full((3, 4, 6), 7, dtype=torch.uint8)
    sample = Sample(
        frame_index=0, frame_name='0', video='bear', ori_shape=(4, 6)
    )
    runner = Sample(visualizer=Keeper())
    VOSVisualizationHook().after_test_iter(
        runner, 0, dict(inputs=[frame]), [sample]
    )
    assert seen == ['bear'] and (frame == 7).all()


def test_a_plain_visualizer_is_refused():
    runner = SimpleNamespace(visualizer=Visualizer())
    for check in ('before_test', 'before_val'):
        with pytest.raises(TypeError, match='VOSLocalVisualizer'):
            getattr(VOSVisualizationHook(), check)(runner)
    with pytest.raises(ValueError, match='interval'):
        VOSVisualizationHook(interval=0)
