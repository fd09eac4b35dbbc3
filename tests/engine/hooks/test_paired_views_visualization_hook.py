import copy
from types import SimpleNamespace

import mmcv
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.dataset import ConcatDataset, RepeatDataset
from mmengine.visualization import Visualizer
from torch import nn

from hvc_mm.datasets import ImageFolderDataset, VideoFramesDataset
from hvc_mm.engine import PairedViewsVisualizationHook
from hvc_mm.engine.hooks import paired_views_visualization_hook as module
from hvc_mm.registry import HOOKS, MODELS
from hvc_mm.structures import PairedViewSample


@pytest.fixture
def model(hvc_cfg):
    torch.manual_seed(0)
    hvc_cfg['data_preprocessor'] = dict(mean=[9.0] * 3, std=[50.0] * 3)
    return MODELS.build(hvc_cfg).train()


@pytest.fixture
def batch():
    torch.manual_seed(1)
    boxes = np.array([[0, 0, 0.8, 0.8], [0.1, 0.1, 0.9, 1]], np.float32)
    sample = PairedViewSample(metainfo=dict(box1=boxes[0], box2=boxes[1]))
    views = torch.randint(0, 256, (2, 3, 3, 32, 32), dtype=torch.uint8)
    return dict(inputs=list(views), data_samples=[sample] * 3)


def runner_of(model, iteration=0, visualizer=None):
    return SimpleNamespace(
        model=model, iter=iteration, visualizer=visualizer or Visualizer()
    )


def test_backends_and_folder_get_one_picture_per_image(
    model, batch, tmp_path, monkeypatch
):
    visualizer = Visualizer()
    added = []
    monkeypatch.setattr(
        visualizer, 'add_image', lambda *args: added.append(args)
    )
    hook = HOOKS.build(
        dict(type='PairedViewsVisualizationHook', interval=5, num_samples=2)
    )
    for iteration in range(11):
        runner = runner_of(model, iteration, visualizer)
        hook.after_train_iter(runner, iteration, batch)
    assert [(name, step) for name, _, step in added] == [
        (f'pretraining_{i}', step) for step in (1, 6, 11) for i in (0, 1)
    ]
    hook = PairedViewsVisualizationHook(num_samples=9, out_dir=str(tmp_path))
    hook.after_train_iter(runner_of(model), 0, batch)
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == [f'000001_{i}.jpg' for i in range(3)]
    written = mmcv.imread(str(tmp_path / files[0]), channel_order='rgb')
    assert written.shape == added[0][1].shape
    assert np.abs(written.astype(int) - added[0][1]).mean() < 14


@pytest.mark.parametrize('shared', [(), (2,), (0, 2)])
def test_images_with_pairs_are_chosen(model, batch, shared, monkeypatch):
    near, far = (
        batch['data_samples'][0],
        PairedViewSample(
            metainfo=dict(
                box1=np.array([0, 0, 0.3, 0.3], np.float32),
                box2=np.array([0.6, 0.6, 1, 1], np.float32),
            )
        ),
    )
    batch['data_samples'] = [near if i in shared else far for i in range(3)]
    drawn = []
    draw = module.draw_pretraining_sample
    monkeypatch.setattr(
        module,
        'draw_pretraining_sample',
        lambda views, *rest: drawn.append(views[0]) or draw(views, *rest),
    )
    hook = PairedViewsVisualizationHook(num_samples=2)
    hook.after_train_iter(runner_of(model), 0, batch)
    # Without any pair in the batch, its first images.
    wanted = list(shared or (0, 1))
    assert len(drawn) == len(wanted)
    for index, view in zip(wanted, drawn):
        image = batch['inputs'][0][index].flip(0).permute(1, 2, 0)
        np.testing.assert_array_equal(view, image.numpy())


def test_model_sees_what_its_parts_say(model, batch):
    maps = module.what_model_sees(model, batch)
    model.eval()
    view1, view2 = model.data_preprocessor(batch)['inputs']
    with torch.no_grad():
        query = F.normalize(
            model.predictor(model.projector(model.backbone(view1)))
        )
        target = model.target.module
        key = F.normalize(target['projector'](target['backbone'](view2)))
        flows = [model.flow_head(query, key), model.flow_head(key, query)]
    for got, wanted in zip(maps, (query, key, *flows)):
        torch.testing.assert_close(got, wanted)
    assert [part.shape[1] for part in maps] == [8, 8, 2, 2]


@pytest.mark.parametrize('breaks', [False, True])
def test_training_is_left_alone(model, batch, breaks, monkeypatch):
    frozen = model.backbone.layer1[0].bn1
    frozen.eval()
    frozen.weight.grad = torch.ones_like(frozen.weight)
    before = copy.deepcopy(model.state_dict())
    inputs = [view.clone() for view in batch['inputs']]
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    hook = PairedViewsVisualizationHook()
    if breaks:
        monkeypatch.setattr(model.flow_head, 'forward_backward', None)
        with pytest.raises(TypeError, match='not callable'):
            hook.after_train_iter(runner_of(model), 0, batch)
    else:
        hook.after_train_iter(runner_of(model), 0, batch)
    assert torch.equal(torch.rand(1), expected)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert model.training and model.target.training and not frozen.training
    assert (frozen.weight.grad == 1).all()
    for view, same in zip(batch['inputs'], inputs):
        assert torch.equal(view, same)


def test_errors(batch):
    with pytest.raises(ValueError, match='interval'):
        PairedViewsVisualizationHook(interval=0)
    with pytest.raises(TypeError, match='not Linear'):
        PairedViewsVisualizationHook().after_train_iter(
            runner_of(nn.Linear(1, 1)), 0, batch
        )


def test_training_images_are_never_drawn_over(tmp_path):
    for folder in ('images', 'videos/a'):
        path = tmp_path / folder / '0.png'
        mmcv.imwrite(np.zeros((8, 8, 3), np.uint8), str(path))
    images = ImageFolderDataset('images', data_root=str(tmp_path))
    videos = VideoFramesDataset(
        data_root=str(tmp_path), data_prefix=dict(img_path='videos')
    )
    for folder, dataset in (
        ('images', RepeatDataset(images, 2)),
        ('videos/a/new', ConcatDataset([videos, videos])),
    ):
        loader = SimpleNamespace(dataset=dataset)
        runner = SimpleNamespace(train_dataloader=loader)
        out = str(tmp_path / folder)
        hook = PairedViewsVisualizationHook(out_dir=out)
        with pytest.raises(ValueError, match=f'output {out}.*this run reads'):
            hook.before_train(runner)
        out = str(tmp_path / 'out')
        PairedViewsVisualizationHook(out_dir=out).before_train(runner)
