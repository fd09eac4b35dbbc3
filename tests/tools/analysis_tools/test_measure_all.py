"""All that is measured on a machine, by one command, in one file."""

import json
import sys
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import DictAction

from hvc_mm.engine.run_config import read_config

SMALL = (
    '--extra=data=--number 4 --repeats 1',
    '--extra=training=train_dataloader.batch_size=2 '
    'train_dataloader.dataset.pipeline.1.size=64 '
    'train_dataloader.num_workers=1',
    '--extra=scores=test_dataloader.dataset.max_frames=3 '
    'test_dataloader.num_workers=0 test_evaluator.num_workers=0',
)


@pytest.fixture
def tool(load_tool):
    return load_tool('analysis_tools/measure_all.py')


@pytest.fixture
def arguments(sample_dir, tmp_path):
    return [
        f'--images={sample_dir}/coco/train2017',
        f'--davis={sample_dir}/DAVIS',
        f'--out={tmp_path}/new/report.json',
        '--device=cpu',
    ]


@pytest.fixture
def args(tool, tmp_path):
    return SimpleNamespace(
        device='cpu',
        images='/data/pictures',
        davis='/data/DAVIS',
        work_dir=tmp_path,
        training=tmp_path / 'training',
        minutes=7,
        resnet50=None,
        stages=tool.NAMES,
        extra={name: [] for name in tool.NAMES},
        out=tmp_path / 'report.json',
    )


def settings(command):
    """What a command's --cfg-options set, read as the tools read it."""
    words = command[command.index('--cfg-options') + 1 :]
    pairs = (word.split('=', 1) for word in words if '=' in word)
    return {k: DictAction._parse_iterable(v) for k, v in pairs}


@pytest.mark.slow
def test_everything_ends_in_one_file(run_tool, arguments, tmp_path):
    done = run_tool(
        *('analysis_tools/measure_all.py', *arguments, *SMALL),
        *('--minutes=0.05', '--stages', 'training', 'scores', 'data'),
    )
    assert done.returncode == 0, done.stdout
    report = json.loads((tmp_path / 'new/report.json').read_text())
    assert report['note'].startswith('no GPU in use')
    found = report['stages']
    assert list(found) == ['training', 'scores', 'data']
    assert {entry['status'] for entry in found.values()} == {'done'}
    curve = found['training']['result']['curve']
    assert len(curve['loss']) == found['training']['result']['iterations'] > 0
    results = found['scores']['result']['results']
    assert list(results) == ['hvc', 'random']
    checkpoint = found['training']['result']['checkpoint']
    assert list(results['hvc']['weights']) == [checkpoint]
    assert results['hvc']['scores'] != results['random']['scores']
    last = done.stdout.splitlines()[-1]
    assert last.startswith('last loss') and 'J&F of hvc' in last


def test_mistakes_come_before_anything_is_run(tool, arguments, tmp_path):
    def message(*more):
        with pytest.raises(SystemExit) as error:
            tool.main([*arguments, *more])
        return str(error.value)

    missing = tmp_path / 'missing'
    assert f'no such image folder: {missing}' in message(f'--images={missing}')
    assert str(missing) in message(f'--davis={missing}')
    assert 'r50.pth' in message('--resnet50=r50.pth')
    assert 'at most 7' in message('--minutes=8')
    assert 'more than 0' in message('--minutes=0')
    assert 'blanks' in message('--davis=my data/DAVIS')
    assert "'loss'" in message('--extra=loss')
    assert 'with a stage of' in message('--extra=nothing=--x')
    if not torch.cuda.is_available():
        assert 'no GPU' in message('--device=cuda')
    assert not (tmp_path / 'new/report.json').exists()


def test_a_cpu_runs_the_quick_settings(tool, args, root_dir):
    found = tool.commands(args)
    assert list(found) == [n for n in tool.NAMES if n not in tool.GPU_NAMES]
    for name in ('propagation', 'train_step', 'loss', 'inference', 'data'):
        assert {'--quick', '--device=cpu'} <= set(found[name])
    for command in found.values():
        assert (root_dir / 'tools' / command[0]).is_file()
    # Commands can be chosen and changed.
    args.stages = ['data', 'training', 'scores']
    args.extra['data'] = ['--number=4']
    args.extra['training'] = ['train_dataloader.batch_size=2']
    args.extra['scores'] = ['test_dataloader.dataset.max_frames=3']
    found = tool.commands(args)
    assert list(found) == ['training', 'scores', 'data']
    assert found['data'][-1] == '--number=4'
    assert settings(found['training'])['train_dataloader.batch_size'] == 2
    frames = 'test_dataloader.dataset.max_frames'
    assert settings(found['scores'])[frames] == 3


def test_a_gpu_runs_what_its_targets_are_for(tool, args):
    args.device = 'cuda'
    found = tool.commands(args)
    assert set(found) == set(tool.NAMES)
    assert not any('--quick' in command for command in found.values())
    for name in ('propagation', 'propagation_bf16'):
        at = found[name].index('--cases')
        assert found[name][at + 1] == '60x107 C=1280'
    assert 'bfloat16' in found['propagation_bf16']
    triton = found['propagation_triton']
    assert {'60x107 C=256', '60x107 C=1280', 'triton'} <= set(triton)
    assert 'train_dataloader.batch_size' not in settings(found['training'])


def test_training_is_the_recipe_for_some_minutes(tool, args):
    args.device, args.minutes = 'cuda', 2.5
    command = tool.commands(args)['training']
    assert '--amp' in command
    recipe = read_config(command[1])
    cfg = read_config(command[1], settings(command))
    assert cfg.model.to_dict() == recipe.model.to_dict()
    assert cfg.optim_wrapper == recipe.optim_wrapper
    assert cfg.train_dataloader.batch_size == 128
    assert cfg.train_dataloader.dataset.sources == '/data/pictures'
    assert cfg.default_hooks.time_budget.minutes == 2.5
    assert cfg.train_cfg.type == 'IterBasedTrainLoop'
    assert set(cfg.train_dataloader.sampler) == {'type'}


def test_scores_are_those_of_the_trained_backbone_and_others(tool, args):
    args.resnet50 = 'r50.pth:style=caffe'
    assert not any('hvc=' in word for word in tool.commands(args)['scores'])
    checkpoint = tool.output_of('training', args)
    checkpoint.parent.mkdir()
    checkpoint.write_text('/there/iter_9.pth')
    found = tool.commands(args)['scores']
    at = found.index('--backbones')
    assert found[at + 1 : at + 4] == [
        'hvc=/there/iter_9.pth',
        'random=HVCResNet:depth=18,stage=3',
        'resnet50=r50.pth:style=caffe',
    ]
    root = settings(found)['test_dataloader.dataset.data_root']
    assert root == '/data/DAVIS'


def test_outputs_are_read(tool, args, tmp_path):
    target = dict(name='it', value=1.0, bound=2.0, at_most=False, form='{}')
    content = {'rows': [], 'marks': [target]}
    tool.output_of('loss', args).write_text(json.dumps(content))
    _, (found,) = tool.read_output('loss', args)
    assert str(found) == 'it 1.0 (>= 2.0) MISSED'

    log = tmp_path / 'training/20260101_000000/vis_data/scalars.json'
    log.parent.mkdir(parents=True)
    parts = dict(loss=0.2, loss_static=0.15, loss_dynamic=0.05)
    rows = [
        {
            **{key: -share * t for key, share in parts.items()},
            'step': 10 * t,
            'time': 9.0 if t == 1 else 0.5,
            'data_time': 0.1,
            'memory': 100 + t,
        }
        for t in range(1, 21)
    ]
    log.write_text('\n'.join(map(json.dumps, rows)))
    tool.output_of('training', args).write_text('/there/iter_200.pth')
    result, (last,) = tool.read_output('training', args)
    assert result['checkpoint'] == '/there/iter_200.pth'
    assert (result['iterations'], result['memory_mb']) == (200, 120)
    assert (result['seconds'], result['data_seconds']) == (0.5, 0.1)
    for key in ('step', *parts):
        assert result['curve'][key] == [row[key] for row in rows]
    assert last.value == pytest.approx(-0.2 * 19.5) and last.bound is None

    run = {
        'backbone': {'name': 'hvc', 'weights': {}},
        'benchmark': {'counts': {'videos': 1}},
        'scores': {'J&F': 51.23, 'J': 50.0, 'F': 52.46},
        'sequences': {'bear': {'J&F': 51.23}},
        'seconds_per_frame': 0.02,
        'curves': {'bear': [50.0] * 80},
    }
    board = {'runs': [run], 'failures': [{'backbone': 'random'}]}
    content, targets = tool.read_scores(board)
    assert content['failures'] == [{'backbone': 'random'}]
    assert content['results']['hvc']['sequences'] == run['sequences']
    assert 'curves' not in content['results']['hvc']
    assert [str(target) for target in targets] == ['J&F of hvc 51.2']


@pytest.fixture
def run_scripts(tool, args, monkeypatch, tmp_path):
    """Run pieces of Python, which may write ``out``, as the commands."""
    monkeypatch.setattr(tool, 'parse_args', lambda argv: args)
    monkeypatch.setattr(
        tool, 'environment', lambda device: {'device': args.machine}
    )
    args.machine = 'this one'

    def commands(args):
        return {name: [f'{name}.py'] for name in args.scripts}

    monkeypatch.setattr(tool, 'commands', commands)
    monkeypatch.setattr(tool, 'TOOLS', tmp_path)

    def run(**scripts):
        args.scripts = scripts
        for name, code in scripts.items():
            out = str(tool.output_of(name, args))
            code = f'import os\nout = open({out!r}, "w")\n{code}'
            (tmp_path / f'{name}.py').write_text(code)
        status = tool.main([])
        return status, json.loads(args.out.read_text())['stages']

    return run


def _report(value, bound=2.0):
    target = dict(name='speed', value=value, bound=bound)
    return f'out.write({json.dumps({"rows": [], "marks": [target]})!r})'


def test_failures_are_written_down_and_the_next_one_runs(
    run_scripts, tmp_path, capfd
):
    missed = f'{_report(1.0)}; out.close(); exit(1)'
    status, found = run_scripts(
        crashes='raise SystemError("of its own")',
        killed='os.kill(os.getpid(), 9)',
        garbled='out.write("no JSON")',
        nothing='os.remove(out.name)',
        half=f'{_report(3.0)}; out.close(); exit(1)',
        missed=missed,
        fine=f'print("at work"); {_report(3.0)}',
    )
    assert status == 1
    failed = {n: e for n, e in found.items() if e['status'] == 'failed'}
    assert list(failed) == ['crashes', 'killed', 'garbled', 'nothing', 'half']
    assert 'SystemError: of its own' in failed['crashes']['error']
    assert 'JSONDecodeError' in failed['garbled']['error']
    assert f'no {tmp_path / "nothing.json"}' in failed['nothing']['error']
    assert failed['half']['result'] == {'rows': []}  # what it did find stays
    # Status 1 may mean a missed target.
    assert found['missed']['marks'][0]['missed'] is True
    assert found['fine']['status'] == 'done'
    assert found['fine']['command'].startswith(sys.executable)
    assert (tmp_path / 'fine.log').read_text() == 'at work\n'
    printed = capfd.readouterr().out
    assert 'at work\n' in printed
    last = printed.splitlines()[-1]
    assert 'speed x1.0 (>= x2.0) MISSED' in last and 'half FAILED' in last
    # An output of an earlier run is no result of this one.
    assert run_scripts(fine='os.remove(out.name)')[0] == 1
    assert run_scripts(fine=missed)[0] == 1
    assert run_scripts(fine=_report(3.0))[1]['fine']['status'] == 'done'


def test_parts_end_in_one_file(run_scripts, args):
    run_scripts(one=_report(1.0), two=_report(2.0))
    content = json.loads(args.out.read_text())
    content['stages']['cut'] = {'status': 'running'}
    args.out.write_text(json.dumps(content))
    _, found = run_scripts(one=_report(3.0))
    shown = {name: entry['shown'] for name, entry in found.items()}
    assert shown == {
        'two': ['speed x2.0 (>= x2.0)'],
        'one': ['speed x3.0 (>= x2.0)'],
    }
    # The file is there while a command runs.
    states = f'print(open({str(args.out)!r}).read()); {_report(2.0)}'
    run_scripts(three=states)
    seen = json.loads((args.work_dir / 'three.log').read_text())
    assert seen['stages']['three'] == {'status': 'running'}
    assert seen['machine'] == {'device': 'this one'}
    args.machine = 'another'
    assert list(run_scripts(one=_report(2.0))[1]) == ['one']
    for text in ('no JSON', '[]', '{"stages": []}'):
        args.out.write_text(text)
        with pytest.raises(SystemExit, match='json is no report'):
            run_scripts(two=_report(2.0))
        assert args.out.read_text() == text


def test_a_new_training_leaves_the_checkpoints_of_an_earlier_one(
    tool, tmp_path
):
    first, second = tmp_path / 'training', tmp_path / 'training_2'
    for fresh in (True, False):
        assert tool.training_folder(tmp_path, fresh) == first
    for folder in (first, second):
        assert tool.training_folder(tmp_path, True) == folder
        folder.mkdir()
        (folder / 'iter_5.pth').touch()
        assert tool.training_folder(tmp_path, False) == folder
