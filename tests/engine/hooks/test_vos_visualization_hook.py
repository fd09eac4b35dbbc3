from types import SimpleNamespace

import mmcv
import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.visualization import Visualizer

from hvc_mm.datasets import write_id_mask
from hvc_mm.engine import VOSVisualizationHook
from hvc_mm.registry import DATASETS, HOOKS, MODELS
from hvc_mm.visualization import VOSLocalVisualizer, overlay_ids
from hvc_mm.visualization.score_curve import curve_height

H, W = 40, 56


@pytest.fixture
def run(tmp_path, tiny_cfg):
    """Test a small network on two videos of three frames, as a loop does."""
    y, x = np.mgrid[:H, :W]
    ids = np.zeros((H, W), np.uint8)
    ids[10:30, 10:40] = 1
    for video in ('bear', 'cow'):
        for index in range(3):
            # Smooth, so that JPEG keeps it; each frame is another.
            levels = (4 * x, 6 * y, np.full_like(x, 50 * index))
            name = f'{video}/{index:05d}.png'
            image = np.stack(levels, -1).astype(np.uint8)
            mmcv.imwrite(image, str(tmp_path / 'frames' / name))
            write_id_mask(tmp_path / 'masks' / name, ids)

    def call(visualizer, size=None, **options):
        dataset = DATASETS.build(
            dict(
                type='VOSDataset',
                ann_file='',
                data_root=str(tmp_path),
                data_prefix=dict(img_path='frames', ann_path='masks'),
                pipeline=[
                    dict(type='hvc_mm.LoadFrame'),
                    dict(type='hvc_mm.LoadPrompt'),
                    dict(type='hvc_mm.ResizeFrame', size=size),
                    dict(type='hvc_mm.PackVOSInputs'),
                ],
            )
        )
        torch.manual_seed(0)
        model = MODELS.build(tiny_cfg['model']).eval()
        hook = HOOKS.build(dict(type='VOSVisualizationHook', **options))
        loader = SimpleNamespace(dataset=dataset)
        runner = SimpleNamespace(visualizer=visualizer, test_dataloader=loader)
        hook.before_test(runner)
        for start in range(0, 6, 2):
            batch = pseudo_collate([dataset[start], dataset[start + 1]])
            frames = [frame.clone() for frame in batch['inputs']]
            hook.after_test_iter(runner, 0, batch, model.test_step(batch))
            assert all(map(torch.equal, frames, batch['inputs']))
        return ids

    return call


def test_pictures_of_a_test_run(run, tmp_path):
    out = tmp_path / 'pictures'
    run(VOSLocalVisualizer(), out_dir=str(out), interval=2)
    names = {str(p.relative_to(out)) for p in out.rglob('*.jpg')}
    assert names == {
        f'{video}/{index:05d}.jpg'
        for video in ('bear', 'cow')
        for index in (0, 2)
    }
    drawn, frame = (
        mmcv.imread(str(path)).astype(int)
        for path in (out / 'cow/00002.jpg', tmp_path / 'frames/cow/00002.png')
    )
    away = np.ones((H, W), bool)
    away[4:36, 4:46] = False
    assert np.abs(drawn[away] - frame[away]).mean() < 6


def test_frames_are_never_drawn_over(run, tmp_path, file_limit):
    for folder in ('frames', 'masks/bear'):
        with pytest.raises(ValueError, match=r'frames|masks.* reads'):
            run(VOSLocalVisualizer(), out_dir=str(tmp_path / folder))
    out = tmp_path / 'pictures'
    run(VOSLocalVisualizer(), out_dir=str(out))
    run(VOSLocalVisualizer(), out_dir=str(out), interval=3)
    assert len(list(out.rglob('*.jpg'))) == 2  # no longer those of before
    (out / 'notes.txt').touch()
    with pytest.raises(FileExistsError, match='notes.txt'):
        run(VOSLocalVisualizer(), out_dir=str(out))
    run(VOSLocalVisualizer(), out_dir=str(out), force=True)
    with file_limit(500), pytest.raises(OSError, match=r'bear/00000\.jpg'):
        run(VOSLocalVisualizer(), out_dir=str(tmp_path / 'new'))
    assert not list((tmp_path / 'new').rglob('*.*'))


@pytest.mark.parametrize('size', [None, (24, 32)])
def test_backends_get_frames_of_their_own_size(run, tmp_path, size):
    visualizer = VOSLocalVisualizer(
        vis_backends=[dict(type='LocalVisBackend')], save_dir=str(tmp_path)
    )
    ids = run(visualizer, size=size, draw_gt=True)
    folder = tmp_path / 'vis_data/vis_image'
    assert len(list(folder.iterdir())) == 6
    drawn, frame = (
        mmcv.imread(str(path), channel_order='rgb')
        for path in (
            folder / 'bear_1.png',
            tmp_path / 'frames/bear/00001.png',
        )
    )
    curve = curve_height(2 * W)
    assert drawn.shape[1] == 2 * W and drawn.shape[0] > H + curve
    bar = drawn.shape[0] - curve - H
    truth = drawn[bar : bar + H, :W]
    np.testing.assert_array_equal(truth, overlay_ids(frame, ids))
    scores = visualizer._curves[1]
    assert sorted(scores) == [0, 1, 2] and scores[0] > 0.6


def test_validation_is_drawn_likewise(monkeypatch):
    hook = VOSVisualizationHook(out_dir='x')
    calls = []
    monkeypatch.setattr(hook, 'after_test_iter', lambda *a: calls.append(a))
    hook.after_val_iter('runner', 3, 'batch', 'outputs')
    assert calls == [('runner', 3, 'batch', 'outputs')]


def test_a_plain_visualizer_is_refused():
    runner = SimpleNamespace(visualizer=Visualizer())
    runner.test_dataloader = runner.val_dataloader = SimpleNamespace(
        dataset=None
    )
    for check in ('before_test', 'before_val'):
        with pytest.raises(TypeError, match='VOSLocalVisualizer'):
            getattr(VOSVisualizationHook(), check)(runner)
    with pytest.raises(ValueError, match='interval'):
        VOSVisualizationHook(interval=0)
