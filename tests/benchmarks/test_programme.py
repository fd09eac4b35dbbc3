"""The programme's commands, and how their output is read."""

import json
import sys
from dataclasses import replace

import pytest
from mmengine.config import DictAction

from hvc_mm.benchmarks import programme
from hvc_mm.benchmarks.programme import STAGES, Options, build_stages
from hvc_mm.engine.run_config import read_config


@pytest.fixture
def options(tmp_path, root_dir):
    return Options(
        images='pictures',
        davis='/data/DAVIS',
        tools=root_dir / 'tools',
        work_dir=tmp_path,
    )


def commands(options):
    return {stage.name: stage.command() for stage in build_stages(options)}


def settings(command):
    """What a command's --cfg-options set, read as the tools read it."""
    words = command[command.index('--cfg-options') + 1 :]
    pairs = (word.split('=', 1) for word in words)
    return {k: DictAction._parse_iterable(v) for k, v in pairs}


def test_a_cpu_runs_the_quick_settings(options, root_dir):
    found = commands(options)
    assert list(found) == [n for n in STAGES if n != 'propagation_bf16']
    for name in ('propagation', 'train_step', 'loss', 'inference', 'data'):
        assert {'--quick', '--device=cpu'} <= set(found[name])
    for command in found.values():
        assert command[0] == sys.executable
        assert (root_dir / command[1]).is_file()


def test_a_gpu_runs_what_its_marks_are_for(options):
    found = commands(replace(options, device='cuda'))
    assert list(found) == list(STAGES)
    assert not any('--quick' in command for command in found.values())
    for name in ('propagation', 'propagation_bf16'):
        at = found[name].index('--cases')
        assert found[name][at + 1] == '60x107 C=1280'
    assert 'bfloat16' in found['propagation_bf16']
    assert 'train_dataloader.batch_size' not in settings(found['training'])


def test_stages_can_be_chosen_and_changed(options):
    options = replace(
        options,
        stages=['data', 'training', 'scores'],
        extra={
            'data': ['--number=4'],
            'training': ['train_dataloader.batch_size=2'],
            'scores': ['test_dataloader.dataset.max_frames=3'],
        },
    )
    found = commands(options)
    assert list(found) == ['training', 'scores', 'data']
    assert found['data'][-1] == '--number=4'
    assert settings(found['training'])['train_dataloader.batch_size'] == 2
    frames = 'test_dataloader.dataset.max_frames'
    assert settings(found['scores'])[frames] == 3


def test_training_is_the_recipe_for_some_minutes(options):
    options = replace(options, device='cuda', minutes=2.5)
    command = commands(options)['training']
    assert '--amp' in command
    recipe = read_config(command[2])
    cfg = read_config(command[2], settings(command))
    assert cfg.model.to_dict() == recipe.model.to_dict()
    assert cfg.optim_wrapper == recipe.optim_wrapper
    assert cfg.train_dataloader.batch_size == 128
    assert cfg.train_dataloader.dataset.sources.endswith('/pictures')
    assert cfg.default_hooks.time_budget.minutes == 2.5
    assert cfg.train_cfg.type == 'IterBasedTrainLoop'
    assert set(cfg.train_dataloader.sampler) == {'type'}


def test_scores_are_those_of_the_trained_backbone_and_others(options):
    options = replace(options, resnet50='r50.pth:style=caffe')
    backbones = [w for w in commands(options)['scores'] if '=' in w]
    assert not any(word.startswith('hvc=') for word in backbones)
    training = options.work_dir / 'training'
    training.mkdir()
    (training / 'last_checkpoint').write_text('/there/iter_9.pth')
    found = commands(options)['scores']
    at = found.index('--backbones')
    assert found[at + 1 : at + 4] == [
        'hvc=/there/iter_9.pth',
        'random=HVCResNet:depth=18,stage=3',
        'resnet50=r50.pth:style=caffe',
    ]
    root = settings(found)['test_dataloader.dataset.data_root']
    assert root == '/data/DAVIS'


@pytest.mark.parametrize(
    'seconds, gain, missed',
    [
        (0.008, 10, [False, False]),
        (0.0081, 10, [True, False]),
        (0.007, 9.9, [False, True]),
    ],
)
def test_a_gpus_propagation_is_judged(options, seconds, gain, missed):
    options = replace(options, device='cuda', stages=STAGES[:2])
    row = {'what': '60x107 C=1280', 'ours s': seconds, 'time ratio': gain}
    stage, half = build_stages(options)
    for one in (stage, half):
        one.output.write_text(json.dumps({'rows': [row], 'marks': []}))
    result, marks = stage.collect()
    assert [mark.missed for mark in marks] == missed
    assert result == {'rows': [row]}
    assert half.collect()[1] == []


def test_a_benchmarks_own_marks_are_kept(options):
    (stage,) = build_stages(replace(options, stages=['loss']))
    mark = dict(name='it', value=1.0, bound=2.0, at_most=False, form='')
    stage.output.write_text(json.dumps({'rows': [], 'marks': [mark]}))
    _, (found,) = stage.collect()
    assert str(found) == 'it x1.0 (>= x2.0) MISSED'


def test_a_training_is_read_from_its_log(tmp_path):
    log = tmp_path / '20260101_000000/vis_data/scalars.json'
    log.parent.mkdir(parents=True)
    rows = [
        dict(
            step=10 * t,
            loss=-0.2 * t,
            loss_static=-0.15 * t,
            loss_dynamic=-0.05 * t,
            time=9.0 if t == 1 else 0.5,
            data_time=0.1,
            memory=100 + t,
        )
        for t in range(1, 21)
    ]
    log.write_text('\n'.join(map(json.dumps, rows)))
    (tmp_path / 'last_checkpoint').write_text('/there/iter_200.pth')
    result, (mark,) = programme.read_training(tmp_path)
    assert result['checkpoint'] == '/there/iter_200.pth'
    assert (result['iterations'], result['memory_mb']) == (200, 120)
    assert (result['seconds'], result['data_seconds']) == (0.5, 0.1)
    assert result['curve']['step'] == [row['step'] for row in rows]
    for key in ('loss', 'loss_static', 'loss_dynamic'):
        assert result['curve'][key] == [row[key] for row in rows]
    assert mark.value == pytest.approx(-0.2 * 19.5) and mark.bound is None


def test_scores_are_read_from_the_scoreboard(tmp_path):
    cell = {
        'backbone': 'hvc',
        'benchmark': 'davis',
        'scores': {'J&F': 51.23, 'J': 50.0, 'F': 52.46},
        'sequences': {'bear': 51.23},
        'seconds_per_frame': 0.02,
        'counts': {'videos': 1},
        'weights': {},
        'curves': {'bear': [50.0] * 80},
    }
    failure = {'backbone': 'random', 'benchmark': 'davis', 'why': 'no memory'}
    path = tmp_path / 'scoreboard.json'
    path.write_text(json.dumps({'results': [cell], 'failures': [failure]}))
    content, marks = programme.read_scores(path)
    assert content['failures'] == [failure]
    assert content['results']['hvc']['sequences'] == {'bear': 51.23}
    assert 'curves' not in content['results']['hvc']
    assert [str(mark) for mark in marks] == ['J&F of hvc 51.2']
