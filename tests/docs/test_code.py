"""The pages' code does what they say."""

import ast
import os
import re
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch
from mmengine.dataset import Compose, pseudo_collate
from mmengine.evaluator import Evaluator
from mmengine.optim import OptimWrapper

from hvc_mm.engine.preflight import preflight
from hvc_mm.engine.run_config import read_config
from hvc_mm.registry import DATASETS, HOOKS, MODELS, TRANSFORMS
from hvc_mm.structures import PairedViewSample

ROOT = Path(__file__).resolve().parents[2]
# Frames as small as the propagation allows.
SMALL = {
    'test_dataloader.dataset.max_frames': 3,
    'test_dataloader.dataset.pipeline.2.size': (48, 80),
}


def test_python_blocks(page, code_blocks):
    """Imports work; what needs no file runs."""
    for code in code_blocks(page, 'python'):
        if '{{' in code:
            continue  # a config's variables are not Python
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom):
                module = import_module(node.module)
                assert all(hasattr(module, n.name) for n in node.names), code
        if code.startswith('import torch'):
            exec(code, {})


@pytest.fixture
def project(tmp_path, monkeypatch, code_blocks):
    """Writes a page's files as a user would; gives a reader of configs."""

    def write(page):
        for code in code_blocks(ROOT / 'docs' / page, 'python'):
            name = re.match(r'# ([\w/-]+\.py)', code)
            if name:
                path = tmp_path / name[1]
                path.parent.mkdir(exist_ok=True)
                path.write_text(code)
        return lambda name, **options: read_config(tmp_path / name, options)

    monkeypatch.syspath_prepend(str(tmp_path))
    yield write
    for name in [n for n in sys.modules if n.startswith('my_project')]:
        del sys.modules[name]


def _scores(cfg):
    """Run a config's test without a runner."""
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    model = MODELS.build(cfg.model).eval()
    metrics = cfg.test_evaluator
    for metric in metrics if isinstance(metrics, list) else [metrics]:
        metric.num_workers = 0
    evaluator = Evaluator(metrics)
    for item in dataset:
        evaluator.process(model.test_step(pseudo_collate([item])))
    return evaluator.evaluate(len(dataset))


def _loss(cfg):
    """Take one training step on random views."""
    cfg.model.target.total_steps = 2
    model = MODELS.build(cfg.model)
    box = torch.tensor([0.1, 0.1, 0.9, 0.9]).numpy()
    sample = PairedViewSample(metainfo=dict(box1=box, box2=box))
    views = [torch.randint(256, (2, 3, 64, 64)).byte() for _ in range(2)]
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    batch = dict(inputs=views, data_samples=[sample] * 2)
    return model.train_step(batch, wrapper)['loss_static']


@pytest.mark.parametrize(
    ('part', 'config', 'score'),
    [
        ('dataset', 'my_folders', 'davis/J_mean'),
        ('metric', 'my_accuracy', 'pixels/accuracy'),
        ('backbone', 'my_net_davis', 'davis/J_mean'),
    ],
)
def test_new_part_is_tested(
    part, config, score, project, sample_dir, tmp_path
):
    davis = sample_dir / 'DAVIS'
    for name in (davis / 'ImageSets/2017/val.txt').read_text().split():
        folder = tmp_path / 'mine' / name
        folder.mkdir(parents=True)
        for own, source in ('frames', 'JPEGImages'), ('masks', 'Annotations'):
            (folder / own).symlink_to(davis / source / '480p' / name)
    read = project(f'extend/{part}.md')
    root = tmp_path if part == 'dataset' else sample_dir
    cfg = read(f'{config}.py', data_root=str(root), **SMALL)
    assert 0 < _scores(cfg)[score] <= 100
    if part == 'backbone':
        assert -4 <= _loss(read('my_net_coco.py')) <= 4
    if part == 'dataset':
        (folder / 'masks').unlink()
        with pytest.raises(FileNotFoundError, match=f'no mask of {name}'):
            DATASETS.build(cfg.test_dataloader.dataset)


def test_new_codec(project):
    cfg = project('extend/codec.md')('my_boxes.py')
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).eval()
    # Frames come from memory: all but the first step.
    steps = cfg.test_dataloader.dataset.pipeline[1:]
    pipeline = Compose([TRANSFORMS.build(step) for step in steps])
    background = torch.randint(256, (96, 160, 3)).byte().numpy()
    square = torch.randint(256, (32, 32, 3)).byte().numpy()
    for index in range(3):
        image, left = background.copy(), 32 + 16 * index
        image[32:64, left : left + 32] = square
        item = dict(img=image, video='square', ori_shape=image.shape[:2])
        item['starts_video'] = index == 0
        if index == 0:
            item['prompt_boxes'] = [[32.0, 32.0, 64.0, 64.0]]
        (sample,) = model.test_step(pseudo_collate([pipeline(item)]))
        box = sample.pred_boxes[0].tolist()
        # A random network's cells see more than themselves.
        assert box == pytest.approx([left, 32, left + 32, 64], abs=17)
    model.codec.decode(torch.zeros(1, 2, 12, 20), sample)
    assert sample.pred_boxes.tolist() == [[-1] * 4]
    with pytest.raises(ValueError, match='no box was given'):
        model.codec.decode(None, sample)


def test_configs_of_the_training_page(project, sample_dir, tmp_path):
    read = project('train.md')
    (hook,) = read('my_coco.py').custom_hooks
    assert HOOKS.build(hook).interval == 500
    validated = read('my_validated_coco.py', data_root=str(sample_dir))
    preflight(validated, 'train')
    assert validated.train_cfg.val_interval == 2
    assert validated.train_cfg.max_epochs == 20
    minutes = read('my_minutes.py')
    assert HOOKS.build(minutes.custom_hooks[0]).minutes == 7
    assert set(minutes.train_cfg) == {'type', 'max_iters'}
    cfg = read('my_mix.py', data_root=str(tmp_path))
    (tmp_path / 'coco').symlink_to(sample_dir / 'coco')
    frames = tmp_path / 'YTB/2018/train_all_frames'
    frames.mkdir(parents=True)
    source = sample_dir / 'DAVIS/JPEGImages/480p'
    (frames / 'JPEGImages').symlink_to(source)
    (frames / 'ytvos.csv').write_text(f'{min(os.listdir(source))},0,6\n')
    assert len(DATASETS.build(cfg.train_dataloader.dataset)) == 12 + 6
