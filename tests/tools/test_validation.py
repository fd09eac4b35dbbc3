"""Validation while HVC is trained, by mmengine's own loop.

Its score is that of tools/test.py on the checkpoint, and the trained run is
the one that would have been without it.
"""

import json

import pytest
import torch

from hvc_mm.checkpoint import read_checkpoint

TRAIN = (
    'train_dataloader.batch_size=4',
    'train_dataloader.num_workers=0',
    'train_dataloader.dataset.pipeline.1.size=32',
    'model.backbone.out_indices=(1,)',
)
# Both as small as the propagation allows.
VAL = (
    'val_model.backbone.out_indices=(1,)',
    'val_model.propagator.radius=4',
    'val_dataloader.num_workers=0',
    'val_dataloader.dataset.videos=None',
    'val_dataloader.dataset.pipeline.2.size=(48,80)',
    'val_evaluator.num_workers=0',
)
TEST = [option.replace('val_', 'test_') for option in VAL[2:]]
TEST += ['model.backbone.out_indices=(1,)', 'model.propagator.radius=4']
EMA = "custom_hooks = [dict(type='EMAHook', momentum=0.3)]\n"


@pytest.fixture
def config(root_dir, tmp_path):
    """Write a training config as docs/train.md has it; give its path."""

    def write(name, with_validation=True, more=''):
        bases = ['hvc_coco_folder.py', '_base_/datasets/davis17_minival.py']
        bases = [f'{root_dir}/configs/{base}' for base in bases]
        path = tmp_path / f'{name}.py'
        path.write_text(
            f'_base_ = {bases if with_validation else bases[:1]}\n'
            'train_cfg = dict(max_epochs=2, val_interval=1)\n'
            'default_hooks = dict(\n'
            "    checkpoint=dict(save_best='davis/J&F'))\n" + more
        )
        return path

    return write


def _train(call_tool, config, data_root, options=VAL):
    work = config.with_suffix('')
    call_tool(
        *('train.py', config, '--work-dir', work, '--cfg-options'),
        *(*TRAIN, *options),
        f'experiment_name={work.parent.name}_{work.name}',
        data_root=data_root,
    )
    return work


def _logged(work, key='davis/J&F'):
    """List a score of all validations, or of the test."""
    found = []
    for path in sorted(work.glob('**/*.json')):
        if path.parent.name == 'videos' or path.name == 'results.json':
            continue
        rows = map(json.loads, path.read_text().splitlines())
        found += [row[key] for row in rows if key in row]
    # A test is logged in a file of its own, validations in two.
    return list(dict.fromkeys(found))


def _assert_equal(one, other, what):
    assert type(one) is type(other), what
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), what
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), what
        for key in one:
            _assert_equal(one[key], other[key], f'{what}.{key}')
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), what
        for index, pair in enumerate(zip(one, other)):
            _assert_equal(*pair, f'{what}.{index}')
    else:
        assert one == other, what


@pytest.mark.parametrize('more', ['', EMA], ids=['plain', 'ema'])
def test_score_is_the_tests_and_training_is_as_without(
    call_tool, call_test, config, sample_dir, more
):
    with_it = _train(call_tool, config('with', True, more), sample_dir)
    scores = _logged(with_it)
    assert len(scores) == 2
    (best,) = with_it.glob('best_davis_J&F_epoch_?.pth')
    work = call_test('hvc_davis', *TEST, data_root=sample_dir, checkpoint=best)
    # To the last digit.
    assert _logged(work) == [max(scores)]
    without = config('without', False, more)
    without = _train(call_tool, without, sample_dir, ())
    one = read_checkpoint(with_it / 'epoch_2.pth')
    other = read_checkpoint(without / 'epoch_2.pth')
    for key in ('state_dict', 'optimizer', 'random_state', 'ema_state_dict'):
        assert (key in one) is (key in other)
        assert key in one or not more
        if key in one:
            _assert_equal(one[key], other[key], key)


def test_curves_in_tensorboard(call_tool, config, sample_dir):
    accumulator = pytest.importorskip(
        'tensorboard.backend.event_processing.event_accumulator',
        reason='tensorboard is not installed: pip install tensorboard',
    )
    board = (
        "vis_backends = [dict(type='LocalVisBackend'), "
        "dict(type='TensorboardVisBackend')]\n"
        'visualizer = dict(vis_backends=vis_backends)\n'
    )
    work = _train(call_tool, config('board', True, board), sample_dir)
    (events,) = work.glob('*/vis_data/events.out.tfevents.*')
    curves = accumulator.EventAccumulator(str(events))
    curves.Reload()
    found = [(e.step, e.value) for e in curves.Scalars('davis/J&F')]
    expected = list(enumerate(_logged(work), 1))
    assert found == [(step, pytest.approx(v)) for step, v in expected]
    assert len(found) == 2
    assert curves.Scalars('loss_static')


@pytest.mark.slow
def test_two_processes(run_tool, call_test, config, sample_dir):
    """Each has batch norm statistics of its own; a checkpoint has one's."""
    path = config('two')
    done = run_tool(
        'train.py',
        path,
        *('--launcher=pytorch', '--work-dir', path.with_suffix('')),
        *('--cfg-options', *TRAIN, *VAL, 'train_cfg.max_epochs=1'),
        data_root=sample_dir,
        launch=(
            *('-m', 'torch.distributed.run', '--nproc_per_node=2'),
            '--master_port=29613',
        ),
    )
    assert done.returncode == 0, done.stdout
    (score,) = _logged(path.with_suffix(''))
    (best,) = path.with_suffix('').glob('best_*.pth')
    work = call_test('hvc_davis', *TEST, data_root=sample_dir, checkpoint=best)
    assert _logged(work) == [score]


@pytest.mark.parametrize(
    ('option', 'message'),
    [
        ('val_model=None', 'no val_model, which predicts'),
        ('val_evaluator=None', 'no val_evaluator; expected .* a validation'),
        ('val_evaluator.type=VOSMetrics', 'val_evaluator: .*mean VOSMetric'),
        ('val_dataloader.dataset.type=Davis', 'val_dataloader.dataset: type'),
        ('val_model.propagator.topk=x', "topk is 'x'"),
    ],
)
def test_what_is_missing_is_told_at_once(
    call_tool, config, sample_dir, option, message
):
    """Before anything is written."""
    path = config('refused')
    with pytest.raises(SystemExit, match=message):
        _train(call_tool, path, sample_dir, (*VAL, option))
    assert not path.with_suffix('').exists()


def test_a_backbone_that_the_trained_one_lacks(call_tool, config, sample_dir):
    option = 'val_model.backbone.out_indices=(2,)'
    with pytest.raises(SystemExit, match='the checkpoint lacks'):
        _train(call_tool, config('lacks'), sample_dir, (*VAL, option))
